// The client that other TypeScript services install: typed from the router, batching, with retries that take once.
export type { CallOptions } from "./call";
export {
  type Balance,
  type BillingClient,
  type BillingClientOptions,
  type ConsumeInput,
  type Consumption,
  createBillingClient,
  type FailOpenOptions,
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
export type { Spooled } from "./fail-open";
export type { BillingHooks, CallInfo, ResultInfo, RetryInfo } from "./hooks";
export type { Spool, SpooledConsume, SpoolOptions } from "./spool";
