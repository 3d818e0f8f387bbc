// credits: spend, see what is left and why, give. One router, its procedures by noun.
import { router } from "../../trpc";
import { grantingProcedures } from "./granting";
import { readingProcedures } from "./reading";
import { spendingProcedures } from "./spending";

export const creditsRouter = router({
  ...readingProcedures,
  ...spendingProcedures,
  ...grantingProcedures,
});
