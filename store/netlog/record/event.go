package record

// Event is a member of the closed list of events. Zero is invalid.
//
// A record holds the event's dotted name, <object>.<what happened to it>, and never a number of this list, so events
// may be added anywhere. The one verb in base form is verification.verify. An RPC's record has the event of its method,
// whatever the outcome: a refused SetEntitlement is entitlement.set with outcome DENIED. The events rpc.*, auth.*,
// text.*, rate.* and enumeration.* stand for refusals that came before the method's own handling, or beside it.
type Event uint16

// The events, by category.
const (
	eventInvalid Event = iota

	// CategoryAccess.
	VerificationVerify      // one verification, asked and answered or refused
	VerificationBatch       // a BatchVerify call; its items have records of their own
	VerificationBatchItem   // one item of a batch
	VerificationRead        // GetVerification
	VerificationListed      // ListVerifications
	VerificationReceiptRead // GetReceipt
	PolicyRead              // GetPolicy
	PolicyListed            // ListPolicies
	PolicyAcknowledged      // a client accepted a policy version
	ProductRead             // GetProduct
	ProductListed           // ListProducts
	AccountRead             // GetAccount
	UsageRead               // GetUsage
	NoticeListed            // ListNotices
	ConsentRead             // GetConsent
	ConsentListed           // ListConsents
	SubjectRequestRead      // GetSubjectRequest
	SubjectRequestListed    // ListSubjectRequests
	ErasureListed           // ListErasures
	ClientRead              // GetClient
	ClientListed            // ListClients
	CredentialListed        // ListCredentials
	DatasetListed           // ListDatasets
	PendingListed           // ListPending
	RouteExplained          // ExplainRoute
	OperationRead           // GetOperation
	EntitlementListed       // ListEntitlements
	RecipientListed         // ListRecipients
	OperatorListed          // ListOperators
	LegalBasisListed        // ListLegalBases
	GuardRead               // GetGuardStatus
	RetentionRead           // GetRetentionPolicy
	HoldListed              // ListHolds
	HoldAssessed            // what a hold would cost was asked, and nothing created
	DataMapRead             // GetDataMap
	IncidentRead            // an incident was read
	IncidentListed          // incidents were listed
	DisclosureRead          // a disclosure was read
	DisclosureListed        // disclosures were listed
	TransferRead            // a transfer was read
	TransferListed          // transfers were listed
	EvidenceRead            // a piece of evidence was read
	EvidenceListed          // evidence was listed
	ProcessingRecordListed  // ListProcessingRecords
	ApprovalListed          // ListApprovals
	ConfigRead              // the configuration digest was read
	ChildDataRead           // a privacy officer read data of the class of children
	AccessBulk              // successful replies to strangers, counted
	HealthChecked           // a health check by a caller with an identity
	ReflectionUsed          // server reflection by a caller with an identity
	RPCServed               // any other method; a new method should get an event of its own
	StreamOpened            // a streaming call began, before its first byte
	StreamClosed            // a streaming call ended

	// CategoryAuthentication.
	SessionOpened          // a connection was authenticated: log-in
	SessionClosed          // a connection ended: log-out
	TLSHandshakeFailed     // no TLS connection came about
	AuthFailed             // a credential was missing, wrong, expired, or used from a wrong address
	AuthLocked             // a credential was locked after failures
	AuthSecondFactorFailed // a one-time code was wrong or missing

	// CategoryAdmin.
	ClientCreated         // CreateClient
	ClientUpdated         // UpdateClient
	ClientSuspended       // a client may not call for now
	ClientResumed         // a client may call again
	ClientClosed          // CloseClient
	CredentialIssued      // IssueCredential
	CredentialRevoked     // RevokeCredential
	CredentialUnlocked    // UnlockCredential
	CredentialExpired     // a credential passed its end
	DatasetImported       // ImportRecords
	DatasetActivated      // ActivateDataset, by a second person
	DatasetDeleted        // DeleteDataset
	DatasetRecordsDeleted // DeleteRecords
	PendingResolved       // ResolvePending
	OperationStarted      // StartOperation
	OperationFinished     // an operation ended
	EntitlementSet        // SetEntitlement
	EntitlementRevoked    // RevokeEntitlement
	EntitlementExpired    // an entitlement passed its end
	RecipientSet          // SetRecipient
	OperatorSet           // SetOperator
	OperatorRevoked       // RevokeOperator
	OperatorExpired       // an operator's binding passed its end
	OperatorRecovered     // a role was bound anew, offline
	OperatorConfirmed     // a recovered binding was confirmed
	LegalBasisCreated     // CreateLegalBasis
	LegalBasisExpired     // a legal basis passed its end
	GuardAllowed          // AllowClient
	ApprovalRequested     // a two-person act waits for the second person
	ApprovalApproved      // Approve
	ApprovalRejected      // Reject
	ApprovalExpired       // a two-person act was not approved in time
	DisclosureCreated     // a disclosure was registered
	DisclosureUpdated     // a disclosure got a revision
	TransferCreated       // a transfer was registered
	TransferUpdated       // a transfer got a revision
	IncidentCreated       // an incident was registered
	IncidentUpdated       // an incident got a revision
	EvidenceCreated       // evidence was registered
	EvidenceUpdated       // evidence got a revision

	// CategoryConfig.
	ConfigLoaded     // the configuration at start, with digests of binary and rule tables
	ConfigReloaded   // the configuration was loaded again
	ConfigRefused    // a configuration that is not allowed was refused
	PolicyPublished  // PublishPolicy
	RetentionUpdated // UpdateRetentionPolicy
	RetentionRefused // an attempt to keep less than the law asks
	KeyCreated       // a key was made
	KeyRotated       // a key was replaced or a chain lengthened
	KeyDestroyed     // a key was destroyed

	// CategorySecurity.
	TLSPlaintextDial     // somebody spoke plaintext to the TLS port
	RPCDenied            // a method was refused for role, separation of duties or state before its own event applied
	RPCMalformed         // a message that is not a valid request
	RPCUnknownField      // a field or enum number outside the contract
	RPCUnknownMethod     // a method that does not exist
	RPCOversized         // a message above the limit
	TextCarriesPII       // a whole value of a field in a text meant for people
	RateLimited          // a caller above its rate
	EnumerationSuspected // a caller that seems to try values
	RefusalBulk          // refusals of strangers or of a client above its refusal budget, counted
	BudgetExhausted      // a client's refusal budget is used up; its connection is closed
	QuotaExhausted       // a client's quota is used up
	NodeSuspect          // another node's log is missing, rolled back, or forked

	// CategoryLogAccess.
	LogListed         // ListLogEntries
	LogFollowed       // ListLogEntries that tails
	LogRead           // one record was read
	LogExported       // ExportLog
	LogVerified       // VerifyLog
	LogSegmentsListed // ListLogSegments
	LogOriginsListed  // ListOrigins
	LogCoverageRead   // GetLogCoverage
	LogCheckpointRead // GetCheckpoint
	LogReceiptServed  // another node was given a receipt's parts

	// CategoryDataLifecycle.
	VerificationVoided     // an answer was withheld after its record: the commit lost a race or failed
	VerificationRecovered  // a ledger row without its record
	VerificationLost       // answered, but its row is gone with an older store put back; money counts it as it was billed
	VerificationReconciled // a pending verification got its outcome
	VerificationExpired    // a verification passed its end
	VerificationDeleted    // DeleteVerification
	NoticeCreated          // CreateNotice
	ConsentCreated         // CreateConsent
	ConsentUpdated         // UpdateConsent
	ConsentWithdrawn       // WithdrawConsent
	ConsentTombstoned      // a withdrawal of a consent that is not on file yet
	ConsentExpired         // a consent passed its end
	ObjectionRecorded      // a person's objection, denial or restriction
	SubjectRequestCreated  // CreateSubjectRequest
	SubjectRequestUpdated  // UpdateSubjectRequest
	SubjectRequestResolved // ResolveSubjectRequest
	SubjectDataFetched     // FetchSubjectData
	ErasurePerformed       // links were destroyed
	ErasureCleared         // erased bytes are physically gone
	ErasureAcknowledged    // a client confirmed an erasure
	DatasetRewritten       // a dataset's file was rewritten without deleted records or under new keys
	HoldCreated            // CreateHold
	HoldReleased           // ReleaseHold
	LogSealed              // a part of the log became immutable
	LogMinimumRaised       // expired records of the log were given up
	LogPurged              // expired segments of the log were removed
	LogMirrored            // a segment's second copy was verified
	BackupCreated          // a backup was made
	BackupFailed           // a backup could not be made
	BackupVerified         // a backup was read back
	BackupRestored         // a backup was restored
	StoreRollbackAccepted  // a person chose to go on with a store that is older than this log
	JournalReplayed        // restrictions were applied after a restore

	// CategoryOutbound.
	OutboundCalled  // a call to an authority
	OutboundChecked // a probe of an authority
	SourceOpened    // an authority is not called for now, after failures
	SourceClosed    // an authority is called again

	// CategorySystem.
	OriginBorn           // a log began; always the record with index 0
	SystemStarted        // the server serves
	SystemStopped        // the server stops
	SystemRecovered      // the start found an unclean stop
	SystemHeartbeat      // operation status, every minute
	SystemTotals         // how many records a part of the log has, by hour, actor, action and outcome
	SystemDegraded       // a part of Heyan stopped working
	SystemClockStepped   // the clock was set
	DiskWatermarkReached // the disk is nearly full
	DiskWatermarkCleared // the disk has room again
	MirrorFailed         // a second copy could not be made
	ForwardLost          // syslog forwarding lost records
	NodeSeen             // another node's checkpoint

	eventCount
)

// eventRow is what is known of an event.
type eventRow struct {
	name     string
	category Category
	severity Severity
}

var eventTable = [eventCount]eventRow{
	VerificationVerify:      {"verification.verify", CategoryAccess, Info},
	VerificationBatch:       {"verification.batch", CategoryAccess, Info},
	VerificationBatchItem:   {"verification.batch_item", CategoryAccess, Info},
	VerificationRead:        {"verification.read", CategoryAccess, Info},
	VerificationListed:      {"verification.listed", CategoryAccess, Info},
	VerificationReceiptRead: {"verification.receipt_read", CategoryAccess, Info},
	PolicyRead:              {"policy.read", CategoryAccess, Info},
	PolicyListed:            {"policy.listed", CategoryAccess, Info},
	PolicyAcknowledged:      {"policy.acknowledged", CategoryAccess, Info},
	ProductRead:             {"product.read", CategoryAccess, Info},
	ProductListed:           {"product.listed", CategoryAccess, Info},
	AccountRead:             {"account.read", CategoryAccess, Info},
	UsageRead:               {"usage.read", CategoryAccess, Info},
	NoticeListed:            {"notice.listed", CategoryAccess, Info},
	ConsentRead:             {"consent.read", CategoryAccess, Info},
	ConsentListed:           {"consent.listed", CategoryAccess, Info},
	SubjectRequestRead:      {"subject_request.read", CategoryAccess, Info},
	SubjectRequestListed:    {"subject_request.listed", CategoryAccess, Info},
	ErasureListed:           {"erasure.listed", CategoryAccess, Info},
	ClientRead:              {"client.read", CategoryAccess, Info},
	ClientListed:            {"client.listed", CategoryAccess, Info},
	CredentialListed:        {"credential.listed", CategoryAccess, Info},
	DatasetListed:           {"dataset.listed", CategoryAccess, Info},
	PendingListed:           {"pending.listed", CategoryAccess, Info},
	RouteExplained:          {"route.explained", CategoryAccess, Info},
	OperationRead:           {"operation.read", CategoryAccess, Info},
	EntitlementListed:       {"entitlement.listed", CategoryAccess, Info},
	RecipientListed:         {"recipient.listed", CategoryAccess, Info},
	OperatorListed:          {"operator.listed", CategoryAccess, Info},
	LegalBasisListed:        {"legal_basis.listed", CategoryAccess, Info},
	GuardRead:               {"guard.read", CategoryAccess, Info},
	RetentionRead:           {"retention.read", CategoryAccess, Info},
	HoldListed:              {"hold.listed", CategoryAccess, Info},
	HoldAssessed:            {"hold.assessed", CategoryAccess, Info},
	DataMapRead:             {"data_map.read", CategoryAccess, Info},
	IncidentRead:            {"incident.read", CategoryAccess, Info},
	IncidentListed:          {"incident.listed", CategoryAccess, Info},
	DisclosureRead:          {"disclosure.read", CategoryAccess, Info},
	DisclosureListed:        {"disclosure.listed", CategoryAccess, Info},
	TransferRead:            {"transfer.read", CategoryAccess, Info},
	TransferListed:          {"transfer.listed", CategoryAccess, Info},
	EvidenceRead:            {"evidence.read", CategoryAccess, Info},
	EvidenceListed:          {"evidence.listed", CategoryAccess, Info},
	ProcessingRecordListed:  {"processing_record.listed", CategoryAccess, Info},
	ApprovalListed:          {"approval.listed", CategoryAccess, Info},
	ConfigRead:              {"config.read", CategoryAccess, Info},
	ChildDataRead:           {"child_data.read", CategoryAccess, Info},
	AccessBulk:              {"access.bulk", CategoryAccess, Info},
	HealthChecked:           {"health.checked", CategoryAccess, Info},
	ReflectionUsed:          {"reflection.used", CategoryAccess, Info},
	RPCServed:               {"rpc.served", CategoryAccess, Info},
	StreamOpened:            {"stream.opened", CategoryAccess, Info},
	StreamClosed:            {"stream.closed", CategoryAccess, Info},
	SessionOpened:           {"session.opened", CategoryAuthentication, Info},
	SessionClosed:           {"session.closed", CategoryAuthentication, Info},
	TLSHandshakeFailed:      {"tls.handshake_failed", CategoryAuthentication, Warning},
	AuthFailed:              {"auth.failed", CategoryAuthentication, Warning},
	AuthLocked:              {"auth.locked", CategoryAuthentication, Warning},
	AuthSecondFactorFailed:  {"auth.second_factor_failed", CategoryAuthentication, Warning},
	ClientCreated:           {"client.created", CategoryAdmin, Info},
	ClientUpdated:           {"client.updated", CategoryAdmin, Info},
	ClientSuspended:         {"client.suspended", CategoryAdmin, Notice},
	ClientResumed:           {"client.resumed", CategoryAdmin, Info},
	ClientClosed:            {"client.closed", CategoryAdmin, Notice},
	CredentialIssued:        {"credential.issued", CategoryAdmin, Info},
	CredentialRevoked:       {"credential.revoked", CategoryAdmin, Notice},
	CredentialUnlocked:      {"credential.unlocked", CategoryAdmin, Info},
	CredentialExpired:       {"credential.expired", CategoryAdmin, Info},
	DatasetImported:         {"dataset.imported", CategoryAdmin, Info},
	DatasetActivated:        {"dataset.activated", CategoryAdmin, Notice},
	DatasetDeleted:          {"dataset.deleted", CategoryAdmin, Notice},
	DatasetRecordsDeleted:   {"dataset.records_deleted", CategoryAdmin, Notice},
	PendingResolved:         {"pending.resolved", CategoryAdmin, Info},
	OperationStarted:        {"operation.started", CategoryAdmin, Info},
	OperationFinished:       {"operation.finished", CategoryAdmin, Info},
	EntitlementSet:          {"entitlement.set", CategoryAdmin, Info},
	EntitlementRevoked:      {"entitlement.revoked", CategoryAdmin, Notice},
	EntitlementExpired:      {"entitlement.expired", CategoryAdmin, Info},
	RecipientSet:            {"recipient.set", CategoryAdmin, Info},
	OperatorSet:             {"operator.set", CategoryAdmin, Notice},
	OperatorRevoked:         {"operator.revoked", CategoryAdmin, Notice},
	OperatorExpired:         {"operator.expired", CategoryAdmin, Info},
	OperatorRecovered:       {"operator.recovered", CategoryAdmin, Critical},
	OperatorConfirmed:       {"operator.confirmed", CategoryAdmin, Notice},
	LegalBasisCreated:       {"legal_basis.created", CategoryAdmin, Notice},
	LegalBasisExpired:       {"legal_basis.expired", CategoryAdmin, Info},
	GuardAllowed:            {"guard.allowed", CategoryAdmin, Notice},
	ApprovalRequested:       {"approval.requested", CategoryAdmin, Info},
	ApprovalApproved:        {"approval.approved", CategoryAdmin, Notice},
	ApprovalRejected:        {"approval.rejected", CategoryAdmin, Notice},
	ApprovalExpired:         {"approval.expired", CategoryAdmin, Info},
	DisclosureCreated:       {"disclosure.created", CategoryAdmin, Notice},
	DisclosureUpdated:       {"disclosure.updated", CategoryAdmin, Notice},
	TransferCreated:         {"transfer.created", CategoryAdmin, Notice},
	TransferUpdated:         {"transfer.updated", CategoryAdmin, Notice},
	IncidentCreated:         {"incident.created", CategoryAdmin, Warning},
	IncidentUpdated:         {"incident.updated", CategoryAdmin, Notice},
	EvidenceCreated:         {"evidence.created", CategoryAdmin, Info},
	EvidenceUpdated:         {"evidence.updated", CategoryAdmin, Info},
	ConfigLoaded:            {"config.loaded", CategoryConfig, Notice},
	ConfigReloaded:          {"config.reloaded", CategoryConfig, Notice},
	ConfigRefused:           {"config.refused", CategoryConfig, Warning},
	PolicyPublished:         {"policy.published", CategoryConfig, Notice},
	RetentionUpdated:        {"retention.updated", CategoryConfig, Notice},
	RetentionRefused:        {"retention.refused", CategoryConfig, Warning},
	KeyCreated:              {"key.created", CategoryConfig, Notice},
	KeyRotated:              {"key.rotated", CategoryConfig, Notice},
	KeyDestroyed:            {"key.destroyed", CategoryConfig, Notice},
	TLSPlaintextDial:        {"tls.plaintext_dial", CategorySecurity, Warning},
	RPCDenied:               {"rpc.denied", CategorySecurity, Warning},
	RPCMalformed:            {"rpc.malformed", CategorySecurity, Warning},
	RPCUnknownField:         {"rpc.unknown_field", CategorySecurity, Warning},
	RPCUnknownMethod:        {"rpc.unknown_method", CategorySecurity, Warning},
	RPCOversized:            {"rpc.oversized", CategorySecurity, Warning},
	TextCarriesPII:          {"text.carries_pii", CategorySecurity, Warning},
	RateLimited:             {"rate.limited", CategorySecurity, Warning},
	EnumerationSuspected:    {"enumeration.suspected", CategorySecurity, Warning},
	RefusalBulk:             {"refusal.bulk", CategorySecurity, Warning},
	BudgetExhausted:         {"budget.exhausted", CategorySecurity, Warning},
	QuotaExhausted:          {"quota.exhausted", CategorySecurity, Notice},
	NodeSuspect:             {"node.suspect", CategorySecurity, Critical},
	LogListed:               {"log.listed", CategoryLogAccess, Notice},
	LogFollowed:             {"log.followed", CategoryLogAccess, Notice},
	LogRead:                 {"log.read", CategoryLogAccess, Notice},
	LogExported:             {"log.exported", CategoryLogAccess, Notice},
	LogVerified:             {"log.verified", CategoryLogAccess, Notice},
	LogSegmentsListed:       {"log.segments_listed", CategoryLogAccess, Notice},
	LogOriginsListed:        {"log.origins_listed", CategoryLogAccess, Notice},
	LogCoverageRead:         {"log.coverage_read", CategoryLogAccess, Notice},
	LogCheckpointRead:       {"log.checkpoint_read", CategoryLogAccess, Notice},
	LogReceiptServed:        {"log.receipt_served", CategoryLogAccess, Info},
	VerificationVoided:      {"verification.voided", CategoryDataLifecycle, Warning},
	VerificationRecovered:   {"verification.recovered", CategoryDataLifecycle, Notice},
	VerificationLost:        {"verification.lost", CategoryDataLifecycle, Warning},
	VerificationReconciled:  {"verification.reconciled", CategoryDataLifecycle, Notice},
	VerificationExpired:     {"verification.expired", CategoryDataLifecycle, Info},
	VerificationDeleted:     {"verification.deleted", CategoryDataLifecycle, Notice},
	NoticeCreated:           {"notice.created", CategoryDataLifecycle, Info},
	ConsentCreated:          {"consent.created", CategoryDataLifecycle, Info},
	ConsentUpdated:          {"consent.updated", CategoryDataLifecycle, Info},
	ConsentWithdrawn:        {"consent.withdrawn", CategoryDataLifecycle, Notice},
	ConsentTombstoned:       {"consent.tombstoned", CategoryDataLifecycle, Notice},
	ConsentExpired:          {"consent.expired", CategoryDataLifecycle, Info},
	ObjectionRecorded:       {"objection.recorded", CategoryDataLifecycle, Notice},
	SubjectRequestCreated:   {"subject_request.created", CategoryDataLifecycle, Notice},
	SubjectRequestUpdated:   {"subject_request.updated", CategoryDataLifecycle, Info},
	SubjectRequestResolved:  {"subject_request.resolved", CategoryDataLifecycle, Notice},
	SubjectDataFetched:      {"subject_data.fetched", CategoryDataLifecycle, Notice},
	ErasurePerformed:        {"erasure.performed", CategoryDataLifecycle, Notice},
	ErasureCleared:          {"erasure.cleared", CategoryDataLifecycle, Notice},
	ErasureAcknowledged:     {"erasure.acknowledged", CategoryDataLifecycle, Info},
	DatasetRewritten:        {"dataset.rewritten", CategoryDataLifecycle, Notice},
	HoldCreated:             {"hold.created", CategoryDataLifecycle, Notice},
	HoldReleased:            {"hold.released", CategoryDataLifecycle, Notice},
	LogSealed:               {"log.sealed", CategoryDataLifecycle, Info},
	LogMinimumRaised:        {"log.minimum_raised", CategoryDataLifecycle, Notice},
	LogPurged:               {"log.purged", CategoryDataLifecycle, Notice},
	LogMirrored:             {"log.mirrored", CategoryDataLifecycle, Info},
	BackupCreated:           {"backup.created", CategoryDataLifecycle, Notice},
	BackupFailed:            {"backup.failed", CategoryDataLifecycle, Critical},
	BackupVerified:          {"backup.verified", CategoryDataLifecycle, Info},
	BackupRestored:          {"backup.restored", CategoryDataLifecycle, Warning},
	StoreRollbackAccepted:   {"store.rollback_accepted", CategoryDataLifecycle, Critical},
	JournalReplayed:         {"journal.replayed", CategoryDataLifecycle, Notice},
	OutboundCalled:          {"outbound.called", CategoryOutbound, Info},
	OutboundChecked:         {"outbound.checked", CategoryOutbound, Info},
	SourceOpened:            {"source.opened", CategoryOutbound, Warning},
	SourceClosed:            {"source.closed", CategoryOutbound, Notice},
	OriginBorn:              {"origin.born", CategorySystem, Notice},
	SystemStarted:           {"system.started", CategorySystem, Notice},
	SystemStopped:           {"system.stopped", CategorySystem, Notice},
	SystemRecovered:         {"system.recovered", CategorySystem, Warning},
	SystemHeartbeat:         {"system.heartbeat", CategorySystem, Info},
	SystemTotals:            {"system.totals", CategorySystem, Info},
	SystemDegraded:          {"system.degraded", CategorySystem, Warning},
	SystemClockStepped:      {"system.clock_stepped", CategorySystem, Warning},
	DiskWatermarkReached:    {"disk.watermark_reached", CategorySystem, Warning},
	DiskWatermarkCleared:    {"disk.watermark_cleared", CategorySystem, Notice},
	MirrorFailed:            {"mirror.failed", CategorySystem, Warning},
	ForwardLost:             {"forward.lost", CategorySystem, Warning},
	NodeSeen:                {"node.seen", CategorySystem, Info},
}

var eventByName = func() map[string]Event {
	m := make(map[string]Event, eventCount)
	for e := eventInvalid + 1; e < eventCount; e++ {
		m[eventTable[e].name] = e
	}
	return m
}()

// ParseEvent returns the event of that name.
func ParseEvent(name string) (Event, bool) {
	e, ok := eventByName[name]
	return e, ok
}

// Events returns all events, in the order of their declaration.
func Events() []Event {
	all := make([]Event, 0, eventCount-1)
	for e := eventInvalid + 1; e < eventCount; e++ {
		all = append(all, e)
	}
	return all
}

// String returns the dotted name, or "invalid".
func (e Event) String() string {
	if e == eventInvalid || e >= eventCount {
		return "invalid"
	}
	return eventTable[e].name
}

// Valid tells whether e is a member of the list.
func (e Event) Valid() bool { return e > eventInvalid && e < eventCount }

// Category returns the event's class; zero for an invalid event.
func (e Event) Category() Category {
	if !e.Valid() {
		return 0
	}
	return eventTable[e].category
}

// Severity returns the event's default severity; zero for an invalid event. A record may raise it.
func (e Event) Severity() Severity {
	if !e.Valid() {
		return 0
	}
	return eventTable[e].severity
}
