-- No statement asks by these, and a lease was written to the first twice: when it began and when it became active.
DROP INDEX leases_correlation;
DROP INDEX certificates_common_name;
