// Where NextAuth keeps people, their accounts elsewhere, and sign-in links that were mailed. Sessions are in cookies, not here.
import type { Adapter, AdapterAccount, AdapterUser } from "next-auth/adapters";
import { invariant } from "~/domain/errors";
import { now } from "../clock";
import { asPlatform, type Transaction } from "../db";
import { newId } from "../db/keys";
import { normalizeEmail } from "./email-address";

const MAX_NAME_LENGTH = 80;
const MAX_IMAGE_URL_LENGTH = 2048;

const USER = { id: true, name: true, email: true, emailVerified: true, image: true } as const;

/** NextAuth's storage on our own tables. NextAuth calls it, so this is an edge, and reads the clock. */
export function authAdapter(): Adapter {
  return {
    // Two first sign-ins of one address at once are one person: the second insert finds the first one's row.
    createUser: (user: Omit<AdapterUser, "id">) => {
      const email = requireEmail(user.email);
      const at = now();
      // Every way to sign in proves the address first, also those for which NextAuth leaves this empty.
      const created = {
        id: newId(at),
        email,
        emailVerified: user.emailVerified ?? at,
        name: displayName(user.name),
        image: imageUrl(user.image),
        createdAt: at,
      };
      return asPlatform((tx) => tx.user.upsert({ where: { email }, create: created, update: {}, select: USER }));
    },

    getUser: (id) => asPlatform((tx) => tx.user.findUnique({ where: { id }, select: USER })),

    getUserByEmail: async (text) => {
      const email = normalizeEmail(text);
      return email ? asPlatform((tx) => tx.user.findUnique({ where: { email }, select: USER })) : null;
    },

    getUserByAccount: async ({ provider, providerAccountId }) => {
      const account = await asPlatform((tx) =>
        tx.account.findUnique({
          where: { provider_providerAccountId: { provider, providerAccountId } },
          select: { user: { select: USER } },
        }),
      );
      return account?.user ?? null;
    },

    updateUser: ({ id, emailVerified }) =>
      asPlatform((tx) => tx.user.update({ where: { id }, data: { emailVerified }, select: USER })),

    // The provider's tokens are not kept: nothing here acts for anybody there, and what is not kept cannot leak.
    linkAccount: async ({ userId, type, provider, providerAccountId }: AdapterAccount) => {
      await asPlatform((tx) =>
        tx.account.createMany({
          data: [{ id: newId(now()), userId, type, provider, providerAccountId }],
          skipDuplicates: true,
        }),
      );
    },

    createVerificationToken: async ({ identifier, token, expires }) => {
      await asPlatform(async (tx) => {
        await tx.verificationToken.deleteMany({ where: { expires: { lt: now() } } });
        await tx.verificationToken.create({ data: { identifier, token, expires } });
      });
      return { identifier, token, expires };
    },

    // Deleting is the check: of two clicks on one link in the same instant, only one gets the row back.
    useVerificationToken: ({ identifier, token }) => asPlatform((tx) => takeVerificationToken(tx, identifier, token)),
  };
}

async function takeVerificationToken(tx: Transaction, identifier: string, token: string) {
  const [row] = await tx.$queryRaw<{ identifier: string; token: string; expires: Date }[]>`
    DELETE FROM auth_verification_tokens WHERE identifier = ${identifier} AND token = ${token}
    RETURNING identifier, token, expires`;
  return row ?? null;
}

/** How many sign-in links for an address end after an instant. */
export function countSignInLinks(email: string, endingAfter: Date): Promise<number> {
  return asPlatform((tx) => tx.verificationToken.count({ where: { identifier: email, expires: { gt: endingAfter } } }));
}

function requireEmail(text: string): string {
  const email = normalizeEmail(text);
  invariant(email, "sign-in was allowed for something that is no email address");
  return email;
}

/** What another service calls somebody, made fit for a line of ours. */
function displayName(name: string | null | undefined): string | null {
  const cleaned = (name ?? "")
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ")
    .replace(/\s+/g, " ")
    .trim();
  return Array.from(cleaned).slice(0, MAX_NAME_LENGTH).join("") || null;
}

function imageUrl(url: string | null | undefined): string | null {
  return url && url.length <= MAX_IMAGE_URL_LENGTH && /^https:\/\//i.test(url) ? url : null;
}
