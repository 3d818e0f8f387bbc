// What the routers of organizations and their people accept from outside, each with its limit.
import { z } from "zod";
import { ORGANIZATION_ROLES } from "~/domain/capabilities";

const MAX_NAME_LENGTH = 80;

/** Control characters, lone surrogates, line separators, and the marks that turn the direction of text after them. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]/u;
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;

/** A name that a person gives to something, on one line. */
export const nameInput = z
  .string()
  .trim()
  .min(1, "Enter a name.")
  .max(MAX_NAME_LENGTH, `Use at most ${MAX_NAME_LENGTH} characters.`)
  .refine((name) => !UNPRINTABLE.test(name), "Use only characters that can be seen.")
  .refine((name) => VISIBLE.test(name), "Enter a name.")
  .transform((name) => name.normalize("NFC"));

export const roleInput = z.enum(ORGANIZATION_ROLES);

/** The secret part of an invitation's link. */
export const tokenInput = z.string().min(1).max(200);
