package server

import (
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/verifier/role"
)

// rule says who may call a method and which event its record has. A method without a rule is refused to
// everybody; a test holds the table against the registered services.
type rule struct {
	event record.Event
	// roles may call it. Zero: nobody but strangers, where anonymous is set.
	roles role.Set
	// anonymous methods answer without credentials; calls of strangers are counted, not recorded one by one.
	anonymous bool
	// read methods change nothing: an inspector may call those of its role.
	read bool
	// quiet methods leave no record: health checks by whoever may connect.
	quiet bool
	// stream methods have no deadline of the server's own.
	stream bool
	// spare methods answer while the disk is nearly full, and leave their records in what the log has kept for that:
	// those by which it is read and taken away.
	spare bool
}

// Sets of roles that recur.
var (
	clients       = role.Of(role.Client)
	system        = role.Of(role.SystemAdmin)
	security      = role.Of(role.SecurityAdmin)
	audit         = role.Of(role.AuditAdmin)
	privacy       = role.Of(role.PrivacyOfficer)
	systemView    = role.Of(role.SystemAdmin, role.AuditAdmin)
	securityView  = role.Of(role.SecurityAdmin, role.AuditAdmin)
	anybodyStops  = role.Administrators | privacy
	twoPersons    = role.Of(role.SystemAdmin, role.SecurityAdmin, role.PrivacyOfficer)
	consentKeeper = role.Of(role.Client, role.PrivacyOfficer)
	everybody     = role.Of(role.Client, role.SystemAdmin, role.SecurityAdmin, role.AuditAdmin, role.PrivacyOfficer)
)

const prefix = "/heyan.v1."

// rules is the policy. Any administrator may stop something; only the owning role may start it: what a
// stopping method may do for another role, its handler checks.
var rules = map[string]rule{
	prefix + "VerificationService/Verify":             {event: record.VerificationVerify, roles: clients},
	prefix + "VerificationService/BatchVerify":        {event: record.VerificationBatch, roles: clients},
	prefix + "VerificationService/GetVerification":    {event: record.VerificationRead, roles: clients, read: true},
	prefix + "VerificationService/ListVerifications":  {event: record.VerificationListed, roles: clients, read: true},
	prefix + "VerificationService/DeleteVerification": {event: record.VerificationDeleted, roles: clients},
	prefix + "VerificationService/GetReceipt":         {event: record.VerificationReceiptRead, roles: clients, read: true},

	prefix + "CatalogService/ListPolicies":      {event: record.PolicyListed, roles: everybody, anonymous: true, read: true},
	prefix + "CatalogService/GetPolicy":         {event: record.PolicyRead, roles: everybody, anonymous: true, read: true},
	prefix + "CatalogService/AcknowledgePolicy": {event: record.PolicyAcknowledged, roles: clients},
	prefix + "CatalogService/ListProducts":      {event: record.ProductListed, roles: everybody, read: true},
	prefix + "CatalogService/GetProduct":        {event: record.ProductRead, roles: everybody, read: true},
	prefix + "CatalogService/GetAccount":        {event: record.AccountRead, roles: everybody, read: true},
	prefix + "CatalogService/GetUsage":          {event: record.UsageRead, roles: everybody, read: true},

	prefix + "ConsentService/CreateNotice":    {event: record.NoticeCreated, roles: clients},
	prefix + "ConsentService/ListNotices":     {event: record.NoticeListed, roles: consentKeeper, read: true},
	prefix + "ConsentService/CreateConsent":   {event: record.ConsentCreated, roles: clients},
	prefix + "ConsentService/GetConsent":      {event: record.ConsentRead, roles: consentKeeper, read: true},
	prefix + "ConsentService/ListConsents":    {event: record.ConsentListed, roles: consentKeeper, read: true},
	prefix + "ConsentService/WithdrawConsent": {event: record.ConsentWithdrawn, roles: consentKeeper},

	prefix + "AdminService/CreateClient":     {event: record.ClientCreated, roles: system},
	prefix + "AdminService/GetClient":        {event: record.ClientRead, roles: systemView | security | privacy, read: true},
	prefix + "AdminService/ListClients":      {event: record.ClientListed, roles: systemView | security | privacy, read: true},
	prefix + "AdminService/UpdateClient":     {event: record.ClientUpdated, roles: anybodyStops},
	prefix + "AdminService/CloseClient":      {event: record.ClientClosed, roles: system},
	prefix + "AdminService/IssueCredential":  {event: record.CredentialIssued, roles: system},
	prefix + "AdminService/ListCredentials":  {event: record.CredentialListed, roles: systemView | security, read: true},
	prefix + "AdminService/RevokeCredential": {event: record.CredentialRevoked, roles: anybodyStops},
	prefix + "AdminService/ImportRecords":    {event: record.DatasetImported, roles: system, stream: true},
	prefix + "AdminService/ListDatasets":     {event: record.DatasetListed, roles: systemView | security, read: true},
	prefix + "AdminService/DeleteRecords":    {event: record.DatasetRecordsDeleted, roles: system},
	prefix + "AdminService/DeleteDataset":    {event: record.DatasetDeleted, roles: system},
	prefix + "AdminService/ListPending":      {event: record.PendingListed, roles: systemView, read: true},
	prefix + "AdminService/ResolvePending":   {event: record.PendingResolved, roles: system},

	prefix + "AccessService/SetEntitlement":    {event: record.EntitlementSet, roles: security},
	prefix + "AccessService/RevokeEntitlement": {event: record.EntitlementRevoked, roles: anybodyStops},
	prefix + "AccessService/ListEntitlements":  {event: record.EntitlementListed, roles: securityView | system, read: true},
	prefix + "AccessService/SetRecipient":      {event: record.RecipientSet, roles: security},
	prefix + "AccessService/ListRecipients":    {event: record.RecipientListed, roles: securityView | system | privacy, read: true},
	prefix + "AccessService/SetOperator":       {event: record.OperatorSet, roles: security},
	prefix + "AccessService/RevokeOperator":    {event: record.OperatorRevoked, roles: anybodyStops},
	prefix + "AccessService/ListOperators":     {event: record.OperatorListed, roles: securityView | system | privacy, read: true},
	prefix + "AccessService/CreateLegalBasis":  {event: record.LegalBasisCreated, roles: security},
	prefix + "AccessService/ListLegalBases":    {event: record.LegalBasisListed, roles: securityView | privacy, read: true},
	prefix + "AccessService/ActivateDataset":   {event: record.DatasetActivated, roles: security},
	prefix + "AccessService/UnlockCredential":  {event: record.CredentialUnlocked, roles: security},

	prefix + "ComplianceService/ListApprovals":         {event: record.ApprovalListed, roles: twoPersons | audit, read: true},
	prefix + "ComplianceService/Approve":               {event: record.ApprovalApproved, roles: twoPersons},
	prefix + "ComplianceService/Reject":                {event: record.ApprovalRejected, roles: twoPersons},
	prefix + "ComplianceService/PublishPolicy":         {event: record.PolicyPublished, roles: privacy},
	prefix + "ComplianceService/GetRetentionPolicy":    {event: record.RetentionRead, roles: privacy | audit, read: true},
	prefix + "ComplianceService/UpdateRetentionPolicy": {event: record.RetentionUpdated, roles: privacy},
	prefix + "ComplianceService/CreateHold":            {event: record.HoldCreated, roles: privacy},
	prefix + "ComplianceService/ReleaseHold":           {event: record.HoldReleased, roles: privacy},
	prefix + "ComplianceService/ListHolds":             {event: record.HoldListed, roles: privacy | audit, read: true},

	prefix + "LogService/ListLogEntries":  {event: record.LogListed, roles: audit, read: true, stream: true, spare: true},
	prefix + "LogService/ExportLog":       {event: record.LogExported, roles: audit, read: true, stream: true, spare: true},
	prefix + "LogService/VerifyLog":       {event: record.LogVerified, roles: audit, read: true, spare: true},
	prefix + "LogService/ListLogSegments": {event: record.LogSegmentsListed, roles: audit, read: true, spare: true},
	prefix + "LogService/ListOrigins":     {event: record.LogOriginsListed, roles: audit, read: true, spare: true},
	prefix + "LogService/GetLogCoverage":  {event: record.LogCoverageRead, roles: audit, read: true, spare: true},
	prefix + "LogService/GetCheckpoint":   {event: record.LogCheckpointRead, roles: audit, read: true, spare: true},

	"/grpc.health.v1.Health/Check": {event: record.HealthChecked, roles: everybody, anonymous: true, read: true, quiet: true},
	"/grpc.health.v1.Health/List":  {event: record.HealthChecked, roles: everybody, anonymous: true, read: true, quiet: true},
	"/grpc.health.v1.Health/Watch": {event: record.HealthChecked, roles: everybody, anonymous: true, read: true, quiet: true, stream: true},

	// Registered only where the configuration asks for it.
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      {event: record.ReflectionUsed, roles: everybody, anonymous: true, read: true, stream: true},
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {event: record.ReflectionUsed, roles: everybody, anonymous: true, read: true, stream: true},
}
