// The people of an organization: who may change whom, and that somebody always owns it.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ActingRole } from "~/domain/capabilities";
import { roleIn } from "~/server/billing/access";
import { asPlatform } from "~/server/db";
import { callerFor, serviceOf } from "../setup/callers";
import { codeOf, createMember, createPerson, createTenant, openApp, outcomes, rolesIn } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openApp>>;
beforeAll(async () => {
  app = await openApp();
});
afterAll(() => app.close());

describe("the list of members", () => {
  it("names everybody with their role, owners first, to every member", async () => {
    const { id: organizationId, owner } = await createTenant();
    const member = await createMember(organizationId, "member");
    const admin = await createMember(organizationId, "admin");
    await createTenant("Somebody else's");
    const listed = await callerFor(member).members.list({ organizationId });
    expect(listed.map(({ userId, role }) => [userId, role])).toEqual([
      [owner.userId, "owner"],
      [admin.userId, "admin"],
      [member.userId, "member"],
    ]);
    expect(listed[0]).toMatchObject({ email: owner.email, name: owner.name });
  });

  it("is not for services, strangers or nobody", async () => {
    const { id: organizationId } = await createTenant();
    const list = (actor: Parameters<typeof callerFor>[0]) =>
      callerFor(actor).members.list({ organizationId }).catch(codeOf);
    expect(await list(serviceOf(organizationId))).toBe("FORBIDDEN");
    expect(await list(await createPerson())).toBe("NOT_FOUND");
    expect(await list(null)).toBe("UNAUTHENTICATED");
  });
});

describe("changing roles", () => {
  it("is for owners without limit, and for admins below owners", async () => {
    const { id: organizationId, owner } = await createTenant();
    const admin = await createMember(organizationId, "admin");
    const member = await createMember(organizationId, "member");
    const change = (by: typeof owner, userId: string, role: "owner" | "admin" | "member") =>
      callerFor(by).members.changeRole({ organizationId, userId, role }).catch(codeOf);
    expect(await change(admin, member.userId, "admin")).toEqual({ userId: member.userId, role: "admin" });
    expect(await change(admin, member.userId, "owner")).toBe("FORBIDDEN");
    expect(await change(admin, admin.userId, "owner")).toBe("FORBIDDEN");
    expect(await change(admin, owner.userId, "member")).toBe("FORBIDDEN");
    expect(await change(owner, member.userId, "owner")).toEqual({ userId: member.userId, role: "owner" });
    expect(await change(owner, owner.userId, "member")).toEqual({ userId: owner.userId, role: "member" });
    expect(await change(owner, member.userId, "member")).toBe("FORBIDDEN");
    expect(await rolesIn(organizationId)).toEqual({
      [owner.userId]: "member",
      [admin.userId]: "admin",
      [member.userId]: "owner",
    });
  });

  it("tells who is no member", async () => {
    const { id: organizationId, owner } = await createTenant();
    const stranger = await createPerson();
    const change = callerFor(owner).members.changeRole({ organizationId, userId: stranger.userId, role: "admin" });
    expect(await change.catch(codeOf)).toBe("NOT_FOUND");
  });
});

describe("an owner", () => {
  it("who is the last one can be neither demoted nor removed, and cannot leave", async () => {
    const { id: organizationId, owner } = await createTenant();
    const { members } = callerFor(owner);
    const input = { organizationId, userId: owner.userId };
    expect(await members.changeRole({ ...input, role: "admin" }).catch(codeOf)).toBe("LAST_OWNER");
    expect(await members.remove(input).catch(codeOf)).toBe("LAST_OWNER");
    expect(await members.leave({ organizationId }).catch(codeOf)).toBe("LAST_OWNER");
    expect(await rolesIn(organizationId)).toEqual({ [owner.userId]: "owner" });
  });

  it("is left when all of them demote each other, remove each other and leave in the same instant", async () => {
    for (let round = 0; round < 5; round++) {
      const { id: organizationId, owner } = await createTenant(`Round ${round}`);
      const owners = [owner];
      for (let count = 0; count < 4; count++) owners.push(await createMember(organizationId, "owner"));
      const results = await Promise.allSettled(
        owners.flatMap(({ userId }, index) => {
          const { members } = callerFor(owners[(index + 1) % owners.length] ?? owner);
          return [
            members.changeRole({ organizationId, userId, role: "member" }),
            members.remove({ organizationId, userId }),
            callerFor(owners[index] ?? owner).members.leave({ organizationId }),
          ];
        }),
      );
      const left = Object.values(await rolesIn(organizationId)).filter((role) => role === "owner");
      expect(left).toHaveLength(1);
      expect(outcomes(results).LAST_OWNER).toBeGreaterThan(0);
      expect(Object.keys(outcomes(results)).sort()).not.toContain("INTERNAL");
    }
  });
});

describe("removing", () => {
  it("ends access with the next call", async () => {
    const { id: organizationId, owner } = await createTenant();
    const admin = await createMember(organizationId, "admin");
    await callerFor(owner).members.remove({ organizationId, userId: admin.userId });
    await expect(roleIn(admin, organizationId)).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await callerFor(owner).members.remove({ organizationId, userId: admin.userId }).catch(codeOf)).toBe(
      "NOT_FOUND",
    );
  });

  it("is not for who does not manage members, but everybody may leave", async () => {
    const { id: organizationId } = await createTenant();
    const member = await createMember(organizationId, "member");
    const billing = await createMember(organizationId, "billing");
    const remove = callerFor(billing).members.remove({ organizationId, userId: member.userId });
    expect(await remove.catch(codeOf)).toBe("FORBIDDEN");
    await callerFor(billing).members.leave({ organizationId });
    await callerFor(member).members.leave({ organizationId });
    expect(Object.values(await rolesIn(organizationId))).toEqual(["owner"] satisfies ActingRole[]);
  });
});

describe("another organization's admin", () => {
  it("reaches nobody here, whichever ids are mixed", async () => {
    const here = await createTenant("Here");
    const there = await createTenant("There");
    const member = await createMember(here.id, "member");
    const { members } = callerFor(there.owner);
    const target = { userId: member.userId, role: "owner" as const };
    expect(await members.list({ organizationId: here.id }).catch(codeOf)).toBe("NOT_FOUND");
    expect(await members.changeRole({ organizationId: here.id, ...target }).catch(codeOf)).toBe("NOT_FOUND");
    expect(await members.changeRole({ organizationId: there.id, ...target }).catch(codeOf)).toBe("NOT_FOUND");
    expect(await members.remove({ organizationId: there.id, userId: member.userId }).catch(codeOf)).toBe("NOT_FOUND");
    expect(await rolesIn(here.id)).toEqual({ [here.owner.userId]: "owner", [member.userId]: "member" });
  });

  it("reaches nobody in an organization that was deleted", async () => {
    const gone = await createTenant("Gone");
    await asPlatform((tx) => tx.organization.update({ where: { id: gone.id }, data: { deletedAt: new Date(0) } }));
    expect(await callerFor(gone.owner).members.list({ organizationId: gone.id }).catch(codeOf)).toBe("NOT_FOUND");
    const admin = await createPerson({ isPlatformAdmin: true });
    const leave = callerFor(admin).members.remove({ organizationId: gone.id, userId: gone.owner.userId });
    expect(await leave.catch(codeOf)).toBe("NOT_FOUND");
  });
});
