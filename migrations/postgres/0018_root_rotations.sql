-- Who is replacing the secret of an engine's own account at the moment, and until when no other one begins; NULL: nobody
ALTER TABLE engines ADD COLUMN rotating_by UUID;
ALTER TABLE engines ADD COLUMN rotating_until TIMESTAMPTZ;
