// The one clock, read at the edge (a request, a job) and handed inwards as `now`.

export function now(): Date {
  return new Date();
}
