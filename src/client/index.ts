// The client that other TypeScript services install: typed from the router, batching, with retries that take once.
export {
  type Balance,
  type BillingClient,
  type Captured,
  type CaptureInput,
  type Check,
  type ConsumeInput,
  type Consumption,
  createBillingClient,
  type Estimate,
  type Granted,
  type GrantInput,
  type Held,
  type HoldInput,
  type PartInput,
  type Procedures,
  type Released,
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
export type { HeldWork } from "./hold";
export type { BillingHooks, CallInfo, ResultInfo, RetryInfo } from "./hooks";
export type { ItemResult } from "./many";
export type { BillingClientOptions, CallOptions, FailOpenOptions } from "./options";
export type { Spool, Spooled, SpooledConsume, SpoolOptions } from "./spool";
