-- AlterTable
ALTER TABLE "allowance_periods" ADD COLUMN     "late_until" TIMESTAMPTZ(3);
