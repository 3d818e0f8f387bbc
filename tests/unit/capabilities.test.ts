// Who may do what: the table that every procedure and every page asks.
import { describe, expect, it } from "vitest";
import {
  type ActingRole,
  type Capability,
  can,
  canAssignRole,
  capabilitiesOf,
  ORGANIZATION_ROLES,
} from "~/domain/capabilities";

const ACTING_ROLES: ActingRole[] = [...ORGANIZATION_ROLES, "service", "platform"];

describe("a role", () => {
  const allowed: Record<ActingRole, Capability[]> = {
    owner: [
      "billing:view",
      "billing:manage",
      "credits:consume",
      "credits:release",
      "credits:configure",
      "budgets:manage",
      "credits:transfer",
      "members:view",
      "members:manage",
      "api-keys:manage",
      "organization:remove",
    ],
    admin: [
      "billing:view",
      "billing:manage",
      "credits:consume",
      "credits:release",
      "credits:configure",
      "budgets:manage",
      "members:view",
      "members:manage",
      "api-keys:manage",
    ],
    billing: [
      "billing:view",
      "billing:manage",
      "credits:release",
      "credits:configure",
      "budgets:manage",
      "members:view",
    ],
    member: ["billing:view", "credits:consume", "credits:release", "members:view"],
    service: ["billing:view", "billing:manage", "credits:consume", "credits:release", "credits:reverse"],
    platform: [
      "billing:view",
      "billing:manage",
      "credits:consume",
      "credits:release",
      "credits:configure",
      "budgets:manage",
      "members:view",
      "members:manage",
      "api-keys:manage",
      "credits:reverse",
      "credits:transfer",
      "credits:grant",
      "organization:remove",
    ],
  };

  it.each(ACTING_ROLES)("%s may do exactly what the table says", (role) => {
    expect(capabilitiesOf(role).sort()).toEqual([...allowed[role]].sort());
    for (const capability of allowed.platform) {
      expect(can(role, capability)).toBe(allowed[role].includes(capability));
    }
  });

  it("of an organization never gives credits to itself", () => {
    for (const role of ACTING_ROLES) expect(can(role, "credits:grant")).toBe(role === "platform");
  });

  it("of a person never gives back what was spent: only the service that took knows that it did not do the work", () => {
    for (const role of ACTING_ROLES) expect(can(role, "credits:reverse")).toBe(["service", "platform"].includes(role));
  });

  it("of a service never changes the budget that it is under", () => {
    expect(can("service", "budgets:manage")).toBe(false);
  });

  it("of a service never reaches people or keys, so that a leaked key cannot make another one", () => {
    for (const capability of ["members:view", "members:manage", "api-keys:manage"] as const) {
      expect(can("service", capability)).toBe(false);
    }
  });
});

describe("giving a role", () => {
  const currents = [null, ...ORGANIZATION_ROLES];

  it("is for those who manage members", () => {
    for (const role of ["billing", "member", "service"] as const) {
      for (const current of currents) {
        for (const next of ORGANIZATION_ROLES) expect(canAssignRole(role, current, next)).toBe(false);
      }
    }
  });

  it("is free for owners and the platform", () => {
    for (const role of ["owner", "platform"] as const) {
      for (const current of currents) {
        for (const next of ORGANIZATION_ROLES) expect(canAssignRole(role, current, next)).toBe(true);
      }
    }
  });

  it("by an admin neither makes nor unmakes an owner", () => {
    for (const current of currents) {
      for (const next of ORGANIZATION_ROLES) {
        expect(canAssignRole("admin", current, next)).toBe(current !== "owner" && next !== "owner");
      }
    }
  });
});
