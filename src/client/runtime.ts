// What the client needs of the runtime it is in, as types: the runtime's own where the program knows them (DOM's or Node's),
// else the least that will do, so that a project compiles with either, both or none.

export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer Own } } ? Own : SignalLike;

export interface SignalLike {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

export type Fetch = typeof globalThis extends { fetch: infer Own } ? Own : FetchLike;

export type FetchLike = (
  url: string,
  init: { method: string; headers: Record<string, string>; body?: string; signal: SignalLike },
) => Promise<{ status: number; headers: { get(name: string): string | null }; text(): Promise<string> }>;
