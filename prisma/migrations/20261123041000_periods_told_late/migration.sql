-- AlterTable
ALTER TABLE "allowance_periods" ADD COLUMN     "late_until" TIMESTAMPTZ(3),
ADD COLUMN     "prorated_until" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "allowance_returns" DROP CONSTRAINT "allowance_returns_pkey",
ADD COLUMN     "per_slice" BIGINT NOT NULL DEFAULT 0,
ADD CONSTRAINT "allowance_returns_pkey" PRIMARY KEY ("organization_id", "stripe_invoice_id", "stripe_item_id", "until_at");
