// credits: spend, see what is left and why, give. One router, its procedures by noun.
import { router } from "../../trpc";
import { explainProcedures } from "./explain";
import { grantingProcedures } from "./granting";
import { holdProcedures } from "./holds";
import { policyProcedures } from "./policy";
import { readingProcedures } from "./reading";
import { spendingProcedures } from "./spending";
import { transferProcedures } from "./transfers";

export const creditsRouter = router({
  ...readingProcedures,
  ...explainProcedures,
  ...spendingProcedures,
  ...holdProcedures,
  ...grantingProcedures,
  ...transferProcedures,
  ...policyProcedures,
});
