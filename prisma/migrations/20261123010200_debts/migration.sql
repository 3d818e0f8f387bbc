-- Who paid for debts is asked when a refund fails or a dispute is won: those few rows among millions.
CREATE INDEX debts ON credit_transactions (organization_id, seq) WHERE type = 'debt';
