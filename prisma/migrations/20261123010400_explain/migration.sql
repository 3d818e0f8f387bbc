-- What was set aside of a lot, and what was owed, at an instant of the past: asked for by who wants to know why, and found
-- without walking the whole ledger.
CREATE INDEX held_entries ON credit_entries (organization_id, grant_id, transaction_seq) INCLUDE (held) WHERE held <> 0;
CREATE INDEX owed ON credit_transactions (organization_id, seq) INCLUDE (debt) WHERE debt <> 0;
