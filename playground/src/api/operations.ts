// Written by scripts/operations.mjs from operations.graphql and schema.graphql: change those.
import type { Json, Operation } from './operation';

export type SealFields = { initialized: boolean; sealed: boolean; progress: number; threshold: number | null; shares: number | null; sealType: string | null; clusterName: string | null; version: string };

export type CallerFields = { accessor: string | null; displayName: string; entity: string | null; policies: string[]; expiresAt: string | null; usesLeft: number | null };

export type SecretFields = { id: string; path: string; type: SecretType; version: number; description: string | null; metadata: Json; createdAt: string; createdBy: string | null; updatedAt: string };

export type LeaseFields = { id: string; leaseId: string; path: string; engineType: string; actorId: string; state: LeaseState; issuedAt: string; expiresAt: string; renewable: boolean; renewedCount: number; overdueSeconds: number | null; lastRevocationError: string | null; revocationReason: string | null };

export type AuditFields = { id: string; sequenceNumber: string; timestamp: string; eventType: string; actorType: string | null; actorId: string | null; roleName: string | null; secretPath: string | null; secretVersion: number | null; leaseId: string | null; accessGranted: boolean | null; policyMatched: string | null; denialReason: string | null; sourceIp: string | null; responseTimeMs: number | null; currentHash: string };

export type SealData = { sealStatus: SealFields };
export type SealVariables = Record<string, never>;
export const Seal: Operation<SealData, SealVariables> = {
  name: 'Seal',
  text: `query Seal {
  sealStatus {
    ...SealFields
  }
}

fragment SealFields on SealStatus {
  initialized
  sealed
  progress
  threshold
  shares
  sealType
  clusterName
  version
}`,
};

export type UnsealData = { unseal: { status: SealFields } };
export type UnsealVariables = { share: string };
export const Unseal: Operation<UnsealData, UnsealVariables> = {
  name: 'Unseal',
  text: `mutation Unseal($share: String!) {
  unseal(input: {share: $share}) {
    status {
      ...SealFields
    }
  }
}

fragment SealFields on SealStatus {
  initialized
  sealed
  progress
  threshold
  shares
  sealType
  clusterName
  version
}`,
};

export type MeData = { me: CallerFields };
export type MeVariables = Record<string, never>;
export const Me: Operation<MeData, MeVariables> = {
  name: 'Me',
  text: `query Me {
  me {
    ...CallerFields
  }
}

fragment CallerFields on Caller {
  accessor
  displayName
  entity
  policies
  expiresAt
  usesLeft
}`,
};

export type LoginWithAppRoleData = { loginWithAppRole: { token: string | null; warnings: string[] } };
export type LoginWithAppRoleVariables = { roleId: string; secretId?: string | null };
export const LoginWithAppRole: Operation<LoginWithAppRoleData, LoginWithAppRoleVariables> = {
  name: 'LoginWithAppRole',
  text: `mutation LoginWithAppRole($roleId: ID!, $secretId: String) {
  loginWithAppRole(input: {roleId: $roleId, secretId: $secretId}) {
    token
    warnings
  }
}`,
};

export type RevokeOwnTokenData = { revokeToken: { revoked: number } };
export type RevokeOwnTokenVariables = Record<string, never>;
export const RevokeOwnToken: Operation<RevokeOwnTokenData, RevokeOwnTokenVariables> = {
  name: 'RevokeOwnToken',
  text: `mutation RevokeOwnToken {
  revokeToken(input: {}) {
    revoked
  }
}`,
};

export type SecretsData = { secrets: { nodes: SecretFields[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } };
export type SecretsVariables = { prefix?: string | null; search?: string | null; first: number; after?: string | null };
export const Secrets: Operation<SecretsData, SecretsVariables> = {
  name: 'Secrets',
  text: `query Secrets($prefix: SecretPath, $search: String, $first: Int!, $after: String) {
  secrets(prefix: $prefix, search: $search, first: $first, after: $after) {
    nodes {
      ...SecretFields
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}

fragment SecretFields on Secret {
  id
  path
  type
  version
  description
  metadata
  createdAt
  createdBy
  updatedAt
}`,
};

export type SecretDetailsData = { secret: SecretFields & { maxVersions: number; rotation: { enabled: boolean; schedule: string | null; lastRotatedAt: string | null; nextRotationAt: string | null } | null; versions: { nodes: ({ version: number; createdAt: string; createdBy: string | null; deletedAt: string | null; destroyed: boolean })[]; pageInfo: { hasNextPage: boolean } } } | null };
export type SecretDetailsVariables = { path: string };
export const SecretDetails: Operation<SecretDetailsData, SecretDetailsVariables> = {
  name: 'SecretDetails',
  text: `query SecretDetails($path: SecretPath!) {
  secret(path: $path) {
    ...SecretFields
    maxVersions
    rotation {
      enabled
      schedule
      lastRotatedAt
      nextRotationAt
    }
    versions(first: 20) {
      nodes {
        version
        createdAt
        createdBy
        deletedAt
        destroyed
      }
      pageInfo {
        hasNextPage
      }
    }
  }
}

fragment SecretFields on Secret {
  id
  path
  type
  version
  description
  metadata
  createdAt
  createdBy
  updatedAt
}`,
};

export type RevealSecretData = { secret: { data: Json | null } | null };
export type RevealSecretVariables = { path: string; version: number };
export const RevealSecret: Operation<RevealSecretData, RevealSecretVariables> = {
  name: 'RevealSecret',
  text: `query RevealSecret($path: SecretPath!, $version: Int!) {
  secret(path: $path) {
    data(version: $version)
  }
}`,
};

export type LeasesData = { leases: { nodes: LeaseFields[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } };
export type LeasesVariables = { filter: LeaseFilter; first: number; after?: string | null };
export const Leases: Operation<LeasesData, LeasesVariables> = {
  name: 'Leases',
  text: `query Leases($filter: LeaseFilter!, $first: Int!, $after: String) {
  leases(filter: $filter, orderBy: EXPIRES_AT, first: $first, after: $after) {
    nodes {
      ...LeaseFields
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}

fragment LeaseFields on Lease {
  id
  leaseId
  path
  engineType
  actorId
  state
  issuedAt
  expiresAt
  renewable
  renewedCount
  overdueSeconds
  lastRevocationError
  revocationReason
}`,
};

export type RevokeLeaseData = { revokeLease: { lease: LeaseFields } };
export type RevokeLeaseVariables = { leaseId: string };
export const RevokeLease: Operation<RevokeLeaseData, RevokeLeaseVariables> = {
  name: 'RevokeLease',
  text: `mutation RevokeLease($leaseId: ID!) {
  revokeLease(input: {leaseId: $leaseId}) {
    lease {
      ...LeaseFields
    }
  }
}

fragment LeaseFields on Lease {
  id
  leaseId
  path
  engineType
  actorId
  state
  issuedAt
  expiresAt
  renewable
  renewedCount
  overdueSeconds
  lastRevocationError
  revocationReason
}`,
};

export type AuditEventsData = { auditEvents: { nodes: AuditFields[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } };
export type AuditEventsVariables = { filter?: AuditFilter | null; first: number; after?: string | null };
export const AuditEvents: Operation<AuditEventsData, AuditEventsVariables> = {
  name: 'AuditEvents',
  text: `query AuditEvents($filter: AuditFilter, $first: Int!, $after: String) {
  auditEvents(filter: $filter, first: $first, after: $after) {
    nodes {
      ...AuditFields
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}

fragment AuditFields on AuditEvent {
  id
  sequenceNumber
  timestamp
  eventType
  actorType
  actorId
  roleName
  secretPath
  secretVersion
  leaseId
  accessGranted
  policyMatched
  denialReason
  sourceIp
  responseTimeMs
  currentHash
}`,
};

export type VerifyAuditData = { verifyAudit: { valid: boolean; checked: string; firstBadSequence: string | null; problem: string | null } };
export type VerifyAuditVariables = Record<string, never>;
export const VerifyAudit: Operation<VerifyAuditData, VerifyAuditVariables> = {
  name: 'VerifyAudit',
  text: `query VerifyAudit {
  verifyAudit {
    valid
    checked
    firstBadSequence
    problem
  }
}`,
};

export type CheckpointData = { auditCheckpoint: { cursor: string } };
export type CheckpointVariables = Record<string, never>;
export const Checkpoint: Operation<CheckpointData, CheckpointVariables> = {
  name: 'Checkpoint',
  text: `query Checkpoint {
  auditCheckpoint {
    cursor
  }
}`,
};

export type SealChangesData = { sealStatusChanged: SealFields };
export type SealChangesVariables = Record<string, never>;
export const SealChanges: Operation<SealChangesData, SealChangesVariables> = {
  name: 'SealChanges',
  text: `subscription SealChanges {
  sealStatusChanged {
    ...SealFields
  }
}

fragment SealFields on SealStatus {
  initialized
  sealed
  progress
  threshold
  shares
  sealType
  clusterName
  version
}`,
};

export type SecretChangesData = { secretChanged: { cursor: string; path: string; secret: SecretFields | null } };
export type SecretChangesVariables = { prefix?: string | null; after?: string | null };
export const SecretChanges: Operation<SecretChangesData, SecretChangesVariables> = {
  name: 'SecretChanges',
  text: `subscription SecretChanges($prefix: SecretPath, $after: String) {
  secretChanged(prefix: $prefix, after: $after) {
    cursor
    path
    secret {
      ...SecretFields
    }
  }
}

fragment SecretFields on Secret {
  id
  path
  type
  version
  description
  metadata
  createdAt
  createdBy
  updatedAt
}`,
};

export type LeaseChangesData = { leaseChanged: { cursor: string; leaseId: string; lease: LeaseFields | null } };
export type LeaseChangesVariables = { filter?: LeaseFilter | null; after?: string | null };
export const LeaseChanges: Operation<LeaseChangesData, LeaseChangesVariables> = {
  name: 'LeaseChanges',
  text: `subscription LeaseChanges($filter: LeaseFilter, $after: String) {
  leaseChanged(filter: $filter, after: $after) {
    cursor
    leaseId
    lease {
      ...LeaseFields
    }
  }
}

fragment LeaseFields on Lease {
  id
  leaseId
  path
  engineType
  actorId
  state
  issuedAt
  expiresAt
  renewable
  renewedCount
  overdueSeconds
  lastRevocationError
  revocationReason
}`,
};

export type AuditTailData = { auditEventAdded: { cursor: string; node: AuditFields } };
export type AuditTailVariables = { filter?: AuditFilter | null; after?: string | null };
export const AuditTail: Operation<AuditTailData, AuditTailVariables> = {
  name: 'AuditTail',
  text: `subscription AuditTail($filter: AuditFilter, $after: String) {
  auditEventAdded(filter: $filter, after: $after) {
    cursor
    node {
      ...AuditFields
    }
  }
}

fragment AuditFields on AuditEvent {
  id
  sequenceNumber
  timestamp
  eventType
  actorType
  actorId
  roleName
  secretPath
  secretVersion
  leaseId
  accessGranted
  policyMatched
  denialReason
  sourceIp
  responseTimeMs
  currentHash
}`,
};

export type SecretType = 'DYNAMIC_ROLE' | 'STATIC';

export type LeaseState = 'ACTIVE' | 'ISSUING' | 'REVOKED' | 'REVOKING';

export type LeaseFilter = {
  engine?: string | null;
  expiresBefore?: string | null;
  overdueOnly?: boolean | null;
  pathPrefix?: string | null;
  states?: LeaseState[] | null;
};

export type AuditFilter = {
  accessGranted?: boolean | null;
  actorId?: string | null;
  correlationId?: string | null;
  eventTypes?: string[] | null;
  from?: string | null;
  leaseId?: string | null;
  secretPathPrefix?: string | null;
  sourceIp?: string | null;
  to?: string | null;
};
