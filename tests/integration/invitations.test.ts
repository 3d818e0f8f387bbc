// Invitations: from the mail to the membership, and every way in which a link must not work.
import { runMigrations } from "graphile-worker";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Person } from "~/server/auth/actor";
import { acceptInvitation } from "~/server/billing/invitations";
import { asPlatform } from "~/server/db";
import type { Mail } from "~/server/mail";
import { callerFor, serviceOf } from "../setup/callers";
import {
  codeOf,
  createMember,
  createPerson,
  createTenant,
  minutesLater,
  NOW,
  openApp,
  outcomes,
  rolesIn,
} from "../setup/tenancy";

const DAY_MINUTES = 24 * 60;
let app: Awaited<ReturnType<typeof openApp>>;
let queue: pg.Client;

beforeAll(async () => {
  app = await openApp({ NEXTAUTH_URL: "https://billing.example.com" });
  await runMigrations({ connectionString: app.database.url });
  queue = new pg.Client({ connectionString: app.database.url });
  await queue.connect();
});
afterAll(async () => {
  await queue.end();
  await app.close();
});
beforeEach(async () => {
  await queue.query("DELETE FROM graphile_worker._private_jobs");
});

/** The mails that wait to be sent. */
async function queuedMails(): Promise<Mail[]> {
  const { rows } = await queue.query<{ payload: Mail }>(
    `SELECT j.payload FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = j.task_id
     WHERE t.identifier = 'send-mail' ORDER BY j.id`,
  );
  return rows.map(({ payload }) => payload);
}

async function mailedToken(): Promise<string> {
  const token = (await queuedMails())
    .at(-1)
    ?.text.match(/https:\/\/billing\.example\.com\/invitations\/([\w-]{43})\s/)?.[1];
  if (!token) throw new Error("There is no link in the mail.");
  return token;
}

/** Invites an address into a new organization, and takes the token from the mail. */
async function invited(email: string, role: "owner" | "admin" | "billing" | "member" = "member") {
  const tenant = await createTenant("Northwind");
  const invitation = await callerFor(tenant.owner).invitations.create({ organizationId: tenant.id, email, role });
  return { tenant, invitation, token: await mailedToken() };
}

let people = 0;
const address = () => `guest-${++people}@example.com`;

const accept = (person: Person, token: string, now = NOW) =>
  callerFor(person, now).invitations.accept({ token }).catch(codeOf);

describe("an invitation", () => {
  it("is mailed with a link, shown to who holds it, and accepted by the one it is for", async () => {
    const email = address();
    const { tenant, token } = await invited(` ${email.toUpperCase()} `, "admin");
    const [mail] = await queuedMails();
    expect(mail).toMatchObject({ to: email, subject: "Join Northwind on Billfold" });
    expect(mail?.html).toContain(`https://billing.example.com/invitations/${token}`);
    expect(await callerFor(null).invitations.preview({ token })).toEqual({
      organizationName: "Northwind",
      email,
      role: "admin",
      state: "open",
    });
    const person = await createPerson({ email });
    expect(await accept(person, token)).toEqual({ organizationId: tenant.id, slug: tenant.slug, role: "admin" });
    expect(await rolesIn(tenant.id)).toMatchObject({ [person.userId]: "admin" });
    expect(await callerFor(null).invitations.preview({ token })).toMatchObject({ state: "accepted" });
    expect(await callerFor(tenant.owner).invitations.list({ organizationId: tenant.id })).toEqual([]);
  });

  it("accepted again, or by ten clicks at once, makes one membership", async () => {
    const email = address();
    const { tenant, token } = await invited(email);
    const person = await createPerson({ email });
    const clicks = Array.from({ length: 10 }, () => acceptInvitation({ token, person, now: NOW }));
    expect(outcomes(await Promise.allSettled(clicks))).toEqual({ ok: 10 });
    expect(await accept(person, token, minutesLater(30 * DAY_MINUTES))).toMatchObject({ slug: tenant.slug });
    expect(Object.keys(await rolesIn(tenant.id))).toHaveLength(2);
  });

  it("does not let in again somebody who was removed", async () => {
    const email = address();
    const { tenant, token } = await invited(email);
    const person = await createPerson({ email });
    await accept(person, token);
    await callerFor(tenant.owner).members.remove({ organizationId: tenant.id, userId: person.userId });
    expect(await accept(person, token)).toBe("INVITATION_NOT_VALID");
    expect(Object.keys(await rolesIn(tenant.id))).toEqual([tenant.owner.userId]);
  });

  it("is for its address only, and says which that is", async () => {
    const email = address();
    const { tenant, token } = await invited(email);
    const other = await createPerson();
    const failure = await acceptInvitation({ token, person: other, now: NOW }).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: "INVITATION_NOT_VALID",
      message: `This invitation is for ${email}, and you are signed in as ${other.email}. Sign in as ${email} to accept it.`,
      details: { reason: "other_address" },
    });
    expect(Object.keys(await rolesIn(tenant.id))).toEqual([tenant.owner.userId]);
  });

  it("works for seven days", async () => {
    const email = address();
    const { token } = await invited(email);
    const person = await createPerson({ email });
    const end = minutesLater(7 * DAY_MINUTES);
    expect(await accept(person, token, end)).toBe("INVITATION_NOT_VALID");
    expect(await callerFor(null, end).invitations.preview({ token })).toMatchObject({ state: "expired" });
    expect(await accept(person, token, new Date(end.getTime() - 1))).toMatchObject({ role: "member" });
  });

  it("sent again is renewed: one invitation, the newest link and role, one mail if the first has not gone", async () => {
    const email = address();
    const { tenant, invitation, token } = await invited(email);
    const again = await callerFor(tenant.owner, minutesLater(8 * DAY_MINUTES)).invitations.create({
      organizationId: tenant.id,
      email,
      role: "billing",
    });
    expect(again).toMatchObject({ id: invitation.id, expiresAt: minutesLater(15 * DAY_MINUTES) });
    expect(await queuedMails()).toHaveLength(1);
    const newer = await mailedToken();
    const person = await createPerson({ email });
    expect(await accept(person, token, minutesLater(8 * DAY_MINUTES))).toBe("INVITATION_NOT_VALID");
    expect(await accept(person, newer, minutesLater(9 * DAY_MINUTES))).toMatchObject({ role: "billing" });
  });

  it("of one address by twenty admins at once is one", async () => {
    const tenant = await createTenant();
    const email = address();
    const { invitations } = callerFor(tenant.owner);
    const sent = Array.from({ length: 20 }, () =>
      invitations.create({ organizationId: tenant.id, email, role: "member" }),
    );
    expect(outcomes(await Promise.allSettled(sent))).toEqual({ ok: 20 });
    expect(await invitations.list({ organizationId: tenant.id })).toHaveLength(1);
    const person = await createPerson({ email });
    expect(await accept(person, await mailedToken())).toMatchObject({ role: "member" });
  });

  it("that was taken back no longer works; taking it back again changes nothing", async () => {
    const email = address();
    const { tenant, invitation, token } = await invited(email);
    const { invitations } = callerFor(tenant.owner);
    const input = { organizationId: tenant.id, invitationId: invitation.id };
    await invitations.revoke(input);
    await invitations.revoke(input);
    expect(await callerFor(null).invitations.preview({ token })).toMatchObject({ state: "revoked" });
    expect(await accept(await createPerson({ email }), token)).toBe("INVITATION_NOT_VALID");
    expect(await invitations.list({ organizationId: tenant.id })).toEqual([]);
  });

  it("is either accepted or taken back when both happen at once", async () => {
    for (let round = 0; round < 5; round++) {
      const email = address();
      const { tenant, invitation, token } = await invited(email);
      const person = await createPerson({ email });
      const [accepted, revoked] = await Promise.allSettled([
        acceptInvitation({ token, person, now: NOW }),
        callerFor(tenant.owner).invitations.revoke({ organizationId: tenant.id, invitationId: invitation.id }),
      ]);
      expect([accepted.status, revoked.status].sort()).toEqual(["fulfilled", "rejected"]);
      expect(person.userId in (await rolesIn(tenant.id))).toBe(accepted.status === "fulfilled");
    }
  });

  it("is not sent to a member, nor accepted by one who came another way", async () => {
    const email = address();
    const { tenant, token } = await invited(email);
    const person = await createPerson({ email });
    await asPlatform((tx) =>
      tx.membership.create({
        data: { organizationId: tenant.id, userId: person.userId, role: "billing", createdAt: NOW },
      }),
    );
    expect(await accept(person, token)).toBe("ALREADY_MEMBER");
    const again = callerFor(tenant.owner).invitations.create({ organizationId: tenant.id, email, role: "member" });
    expect(await again.catch(codeOf)).toBe("ALREADY_MEMBER");
    expect(await rolesIn(tenant.id)).toMatchObject({ [person.userId]: "billing" });
  });

  it("leaves no mail behind when it is not made", async () => {
    const tenant = await createTenant();
    const email = tenant.owner.email;
    await callerFor(tenant.owner)
      .invitations.create({ organizationId: tenant.id, email, role: "member" })
      .catch(codeOf);
    expect(await queuedMails()).toEqual([]);
  });

  it("is stored without its token", async () => {
    const { invitation, token } = await invited(address());
    const row = await asPlatform((tx) => tx.invitation.findUniqueOrThrow({ where: { id: invitation.id } }));
    expect(JSON.stringify(row)).not.toContain(token);
    expect(JSON.stringify(invitation)).not.toContain(token);
  });

  it("into an organization that was deleted leads nowhere", async () => {
    const email = address();
    const { tenant, token } = await invited(email);
    await asPlatform((tx) => tx.organization.update({ where: { id: tenant.id }, data: { deletedAt: NOW } }));
    expect(await callerFor(null).invitations.preview({ token }).catch(codeOf)).toBe("INVITATION_NOT_VALID");
    expect(await accept(await createPerson({ email }), token)).toBe("INVITATION_NOT_VALID");
  });
});

describe("who invites", () => {
  it("must manage members, and must be an owner to make or unmake one", async () => {
    const tenant = await createTenant();
    const organizationId = tenant.id;
    const admin = await createMember(organizationId, "admin");
    const email = address();
    const invite = (by: Parameters<typeof callerFor>[0], role: "owner" | "member") =>
      callerFor(by)
        .invitations.create({ organizationId, email, role })
        .then(({ id }) => id, codeOf);
    expect(await invite(await createMember(organizationId, "billing"), "member")).toBe("FORBIDDEN");
    expect(await invite(serviceOf(organizationId), "member")).toBe("FORBIDDEN");
    expect(await invite(admin, "owner")).toBe("FORBIDDEN");
    const invitationId = await invite(tenant.owner, "owner");
    // Neither by renewing it with less, nor by taking it back.
    expect(await invite(admin, "member")).toBe("FORBIDDEN");
    expect(await callerFor(admin).invitations.revoke({ organizationId, invitationId }).catch(codeOf)).toBe("FORBIDDEN");
    expect(await callerFor(tenant.owner).invitations.list({ organizationId })).toMatchObject([
      { id: invitationId, role: "owner", state: "open", invitedBy: tenant.owner.name },
    ]);
  });

  it("from another organization sees and revokes nothing", async () => {
    const { tenant, invitation } = await invited(address());
    const there = await createTenant("There");
    const { invitations } = callerFor(there.owner);
    const revoke = (organizationId: string) =>
      invitations.revoke({ organizationId, invitationId: invitation.id }).catch(codeOf);
    expect(await invitations.list({ organizationId: tenant.id }).catch(codeOf)).toBe("NOT_FOUND");
    expect(await revoke(tenant.id)).toBe("NOT_FOUND");
    expect(await revoke(there.id)).toBe("NOT_FOUND");
    expect(await invitations.list({ organizationId: there.id })).toEqual([]);
  });

  it.each(["", "x", "a@b", "a@example.com,b@example.com", `${"a".repeat(250)}@example.com`, "a\u0000@example.com"])(
    "gives an address that exists (%#)",
    async (email) => {
      const tenant = await createTenant();
      const invite = callerFor(tenant.owner).invitations.create({ organizationId: tenant.id, email, role: "member" });
      await expect(invite).rejects.toMatchObject({ code: "BAD_REQUEST" });
    },
  );

  it("cannot send mail without end", async () => {
    const tenant = await createTenant();
    await asPlatform((tx) =>
      tx.invitation.createMany({
        data: Array.from({ length: 200 }, (_, index) => ({
          organizationId: tenant.id,
          email: `many-${index}@example.com`,
          role: "member" as const,
          tokenHash: `${tenant.id}-${index}`,
          createdAt: NOW,
          expiresAt: NOW,
        })),
      }),
    );
    const invite = (email: string) =>
      callerFor(tenant.owner).invitations.create({ organizationId: tenant.id, email, role: "member" }).catch(codeOf);
    expect(await invite(address())).toBe("INVALID_INPUT");
    expect(await invite("many-7@example.com")).toMatchObject({ email: "many-7@example.com" });
  });
});

describe("a token that nobody was given", () => {
  it.each(["x", "a".repeat(43), "a".repeat(200)])("leads nowhere (%#)", async (token) => {
    expect(await callerFor(null).invitations.preview({ token }).catch(codeOf)).toBe("INVITATION_NOT_VALID");
    expect(await accept(await createPerson(), token)).toBe("INVITATION_NOT_VALID");
  });

  it("asks for somebody who is signed in", async () => {
    expect(await callerFor(null).invitations.accept({ token: "x" }).catch(codeOf)).toBe("UNAUTHENTICATED");
    expect(await callerFor(serviceOf(null)).invitations.accept({ token: "x" }).catch(codeOf)).toBe("FORBIDDEN");
  });
});
