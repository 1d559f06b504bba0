-- Who is replacing the secret of an engine's own account at the moment, and until when no other one begins; NULL: nobody
ALTER TABLE engines ADD COLUMN rotating_by BLOB CHECK (length(rotating_by) = 16);
ALTER TABLE engines ADD COLUMN rotating_until TEXT;
