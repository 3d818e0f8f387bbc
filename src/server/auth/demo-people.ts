// The people of the demo. Their addresses end in `.example`, which nobody can own: signing in as one of them by a click,
// which the demo allows, can never be signing in as a real person.
import type { OrganizationRole } from "~/domain/capabilities";

export interface DemoPerson {
  email: string;
  name: string;
  /** What the sign-in page says about them. */
  role: string;
  /** Their role in the demo's organization, or `platform` for who administers all. */
  actingRole: OrganizationRole | "platform";
}

export const DEMO_ORGANIZATION_NAME = "Northwind Robotics";

export const DEMO_PEOPLE: readonly DemoPerson[] = [
  {
    email: "mara@northwind.example",
    name: "Mara Lindqvist",
    role: `Owner of ${DEMO_ORGANIZATION_NAME}`,
    actingRole: "owner",
  },
  {
    email: "priya@northwind.example",
    name: "Priya Raman",
    role: `Billing contact of ${DEMO_ORGANIZATION_NAME}`,
    actingRole: "billing",
  },
  {
    email: "jonas@northwind.example",
    name: "Jonas Weber",
    role: `Developer at ${DEMO_ORGANIZATION_NAME}`,
    actingRole: "member",
  },
  {
    email: "sam@billfold.example",
    name: "Sam Okafor",
    role: "Administrator of the platform",
    actingRole: "platform",
  },
];
