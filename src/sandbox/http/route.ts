// How a resource declares what it answers: method, path, parameters, handler.
import { list, type Params, type Shape, string } from "../params";
import type { AnyObject } from "../types";
import type { World } from "../world";
import type { Page } from "./listing";

export type Answer = { object: string } | Page<AnyObject>;
export type Method = "GET" | "POST" | "DELETE";

export interface Route {
  method: Method;
  /** Literal segments and `:name` ones. */
  segments: string[];
  shape: Shape;
  handle(world: World, params: never, ids: string[]): Answer;
}

/** Declares a route. `expand` is taken everywhere. The ids are those of the path, in order. */
export function route<S extends Shape>(
  method: Method,
  path: string,
  shape: S,
  handle: (world: World, params: Params<S>, ids: [string, ...string[]]) => Answer,
): Route {
  return {
    method,
    segments: path.split("/").slice(1),
    shape: { ...shape, expand: list(string()) },
    handle: handle as Route["handle"],
  };
}

/** The route for a request, with the ids of its path; or null. */
export function findRoute(routes: Route[], method: string, path: string): { route: Route; ids: string[] } | null {
  const parts = path.split("/").slice(1).map(decodeSegment);
  for (const candidate of routes) {
    if (candidate.method !== method || candidate.segments.length !== parts.length) continue;
    const ids: string[] = [];
    const fits = candidate.segments.every((segment, position) => {
      const part = parts[position] ?? "";
      if (!segment.startsWith(":")) return segment === part;
      ids.push(part);
      return part !== "";
    });
    if (fits) return { route: candidate, ids };
  }
  return null;
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
