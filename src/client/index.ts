// The client that other TypeScript services install: typed from the router, batching, with retries that take once.
export {
  type Balance,
  type BillingClient,
  type ConsumeInput,
  type Consumption,
  createBillingClient,
  type Granted,
  type GrantInput,
  type Procedures,
} from "./client";
export type { Contract } from "./contract";
export {
  BillingClientError,
  type BillingClientFailure,
  type BillingFailureCode,
  billingErrorOf,
  type DetailsOf,
  type FailureDetails,
  isBillingError,
} from "./errors";
export type { BillingHooks, CallInfo, ResultInfo, RetryInfo } from "./hooks";
export type { BillingClientOptions, CallOptions, FailOpenOptions } from "./options";
export type { Spool, Spooled, SpooledConsume, SpoolOptions } from "./spool";
