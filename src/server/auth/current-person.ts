// Who looks at a page: the person of the running request, for server components. Apart from `session.ts`, which knows no framework.
import { headers } from "next/headers";
import { cache } from "react";
import type { Person } from "./actor";
import { personFromHeaders } from "./session";

/** The person who is signed in, or null. Looked up once a request, however many components ask. */
export const currentPerson: () => Promise<Person | null> = cache(async () => personFromHeaders(await headers()));
