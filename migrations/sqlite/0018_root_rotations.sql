-- Who is at the secret of an engine's own account at the moment, and until when no other one begins; NULL: nobody
ALTER TABLE engines ADD COLUMN rotating_by BLOB CHECK (length(rotating_by) = 16);
ALTER TABLE engines ADD COLUMN rotating_until TEXT;
-- what an earlier attempt has sent to the target may still take effect before this: until then nothing takes the place of that secret
ALTER TABLE engines ADD COLUMN unsettled_until TEXT;
