-- Claims, refunds and disputes ask for the allowances of an invoice, of whatever organization.
CREATE INDEX allowances_by_invoice ON allowance_periods (stripe_invoice_id) WHERE stripe_invoice_id IS NOT NULL;
