-- AlterTable
ALTER TABLE "allowance_periods" ADD COLUMN     "withheld" BIGINT NOT NULL DEFAULT 0;
