-- What adjustments took of a lot is told with the lot's end: those few rows among millions.
CREATE INDEX adjustments ON credit_transactions (organization_id, seq) WHERE type = 'adjustment';
