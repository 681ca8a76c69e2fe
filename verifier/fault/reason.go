package fault

// Reason is one row of the fault table. Its number and name are those of heyan.v1.ErrorReason.
type Reason uint8

// The reasons, in the order of the public enum.
const (
	FieldOutsideCeiling Reason = iota + 1
	FieldMissing
	FieldMalformed
	FreeTextCarriesPII
	RequestMalformed
	RequestTooLarge
	CredentialMissing
	CredentialInvalid
	CredentialExpired
	CredentialLocked
	SecondFactorRequired
	FieldNotInProduct
	ProductNotEntitled
	PurposeNotEntitled
	EntitlementExpired
	ClientSuspended
	RoleRequired
	SeparationOfDuties
	TrainingExpired
	RegionForbidden
	ConsentMissing
	ConsentScope
	ConsentSubjectMismatch
	ConsentWithdrawn
	ConsentExpired
	ConsentRenewalRequired
	PurposeNotConsented
	RecipientNotConsented
	LegalBasisUnsupported
	Under14WithoutGuardian
	SubjectUnavailable
	HoldActive
	IdentityNotProven
	DeadlinePassed
	RightNotRefusable
	IncidentIncomplete
	PolicyVersionRequired
	RetentionBelowFloor
	ClockUntrusted
	ApprovalRequired
	DisclosureNotApproved
	ContractMissing
	DatasetNotActive
	RequestIDReused
	ResourceExists
	RequestInProgress
	RevisionConflict
	QuotaExceeded
	BudgetExceeded
	RateLimited
	EnumerationSuspected
	LogUnavailable
	StoreUnavailable
	SourceUnavailable
	ShuttingDown
	DeadlineReached
	CallerCancelled
	ResourceNotFound
	MethodUnknown
	InternalError
)

// Row is what the table says of a reason.
type Row struct {
	Name     string // as in ErrorInfo.reason
	Kind     Kind
	Handling Handling
	Cause    string // what happened, for a developer
	Remedy   string // what to do about it
	Chinese  string // for LocalizedMessage, zh-CN
}

var rows = [...]Row{
	FieldOutsideCeiling: {"FIELD_OUTSIDE_CEILING", Invalid, FixRequest, "The request holds a protobuf field or enum number that this server does not know, at some depth. Nothing beyond the six fields is ever taken.",
		"Generate your client from this server's .proto files, or stop sending the extra member.", "请求含有六个字段以外的内容"},
	FieldMissing: {"FIELD_MISSING", Invalid, FixRequest, "A member that the product or method needs is absent or empty.",
		"Send every member named in BadRequest.", "缺少必填内容"},
	FieldMalformed: {"FIELD_MALFORMED", Invalid, FixRequest, "A value is not a valid value of its field; the typed cause stands beside the field's name.",
		"Ask the person to check what they typed; do not repair it yourself.", "字段格式或校验位不正确"},
	FreeTextCarriesPII: {"FREE_TEXT_CARRIES_PII", Invalid, FixRequest, "A text meant for people holds a whole valid value of one of the six fields.",
		"Describe the case without personal data.", "说明文字中含有个人信息"},
	RequestMalformed: {"REQUEST_MALFORMED", Invalid, FixRequest, "The bytes are no valid message of this method, or a member breaks its documented form.",
		"Correct the member named in BadRequest, or check how the message is encoded.", "请求格式不正确"},
	RequestTooLarge: {"REQUEST_TOO_LARGE", Invalid, FixRequest, "The message, its metadata or its list is over the documented limit.",
		"Send less at once.", "请求超过大小限制"},
	CredentialMissing: {"CREDENTIAL_MISSING", Unauthenticated, FixRequest, "The call carries neither a client certificate nor an API key.",
		"Present a certificate, or send metadata authorization: Bearer <key>.", "未提供凭证"},
	CredentialInvalid: {"CREDENTIAL_INVALID", Unauthenticated, AskOperator, "The certificate or key is not known, is revoked, or is used from an address that it is not bound to.",
		"Check which credential the call uses, and from where; ask for a new one if it was revoked.", "凭证无效"},
	CredentialExpired: {"CREDENTIAL_EXPIRED", Unauthenticated, AskOperator, "The credential's time is over.",
		"Ask for a new credential.", "凭证已过期"},
	CredentialLocked: {"CREDENTIAL_LOCKED", Unauthenticated, AskOperator, "The credential is locked after failures or long disuse.",
		"A security administrator unlocks it.", "凭证已锁定"},
	SecondFactorRequired: {"SECOND_FACTOR_REQUIRED", Unauthenticated, FixRequest, "This person's session needs a one-time code.",
		"Open a session with a one-time code and call again.", "需要第二因素验证"},
	FieldNotInProduct: {"FIELD_NOT_IN_PRODUCT", Denied, FixRequest, "The call carries a field that the product does not use. Metadata names the product that would fit, if there is one.",
		"Leave the field out, or buy the product that uses it.", "所购产品不包含该字段"},
	ProductNotEntitled: {"PRODUCT_NOT_ENTITLED", Denied, AskOperator, "The client has not bought this product.",
		"Ask the operator for an entitlement.", "未开通该产品"},
	PurposeNotEntitled: {"PURPOSE_NOT_ENTITLED", Denied, AskOperator, "The stated purpose is not in the client's entitlement.",
		"State an entitled purpose.", "该处理目的未获授权"},
	EntitlementExpired: {"ENTITLEMENT_EXPIRED", Denied, AskOperator, "The entitlement's term is over.",
		"Ask the operator to renew it.", "产品授权已到期"},
	ClientSuspended: {"CLIENT_SUSPENDED", Denied, AskOperator, "The client is suspended or closed.",
		"Ask the operator why.", "客户已被暂停"},
	RoleRequired: {"ROLE_REQUIRED", Denied, AskOperator, "The caller's role may not call this method.",
		"Use a credential of the role named in metadata.", "角色无此权限"},
	SeparationOfDuties: {"SEPARATION_OF_DUTIES", Denied, AskOperator, "The act needs another person than the one who asks.",
		"Have a second person do it.", "违反职责分离，须由另一人办理"},
	TrainingExpired: {"TRAINING_EXPIRED", Denied, AskOperator, "The person's training or confidentiality agreement has lapsed.",
		"Renew it and have it recorded.", "培训或保密协议已过期"},
	RegionForbidden: {"REGION_FORBIDDEN", Denied, AskOperator, "A region outside mainland China was named.",
		"Use a region of the closed list.", "不允许使用境外区域"},
	ConsentMissing: {"CONSENT_MISSING", Precondition, FixConsent, "The call names neither a consent nor a legal basis, or one that is not on file.",
		"Register the notice, obtain the person's consent and send it along.", "缺少同意或合法性基础"},
	ConsentScope: {"CONSENT_SCOPE", Precondition, FixConsent, "The consent does not cover a field of the call, or lacks a separate consent that the field needs.",
		"Obtain a consent whose notice covers every field.", "同意范围不足"},
	ConsentSubjectMismatch: {"CONSENT_SUBJECT_MISMATCH", Precondition, FixConsent, "The consent was given by another person than the one the values are about.",
		"Send the consent of the person in the call; one evidence reference serves one person.", "同意与当事人不符"},
	ConsentWithdrawn: {"CONSENT_WITHDRAWN", Precondition, FixConsent, "The person has withdrawn this consent.",
		"Do not process; a new consent is a new agreement of the person.", "同意已撤回"},
	ConsentExpired: {"CONSENT_EXPIRED", Precondition, FixConsent, "The consent's lifetime is over.",
		"Obtain a new consent.", "同意已过期"},
	ConsentRenewalRequired: {"CONSENT_RENEWAL_REQUIRED", Precondition, FixConsent, "A material change of the policy or the handler needs the person's consent anew.",
		"Show the new notice and obtain a new consent.", "须重新取得同意"},
	PurposeNotConsented: {"PURPOSE_NOT_CONSENTED", Precondition, FixConsent, "The purpose is entitled but not part of the consent's notice.",
		"Use a purpose of the notice, or obtain consent for this one.", "该目的未取得同意"},
	RecipientNotConsented: {"RECIPIENT_NOT_CONSENTED", Precondition, FixConsent, "No source is left that the consent names as a recipient.",
		"Name the recipients of the product in the notice.", "接收方未取得同意"},
	LegalBasisUnsupported: {"LEGAL_BASIS_UNSUPPORTED", Precondition, AskOperator, "The legal basis is not on file, not approved, expired, spent for the day, or not entitled to this client.",
		"Use a basis that GetAccount lists.", "合法性基础不适用"},
	Under14WithoutGuardian: {"UNDER_14_WITHOUT_GUARDIAN", Precondition, FixConsent, "The person is, or may be, under 14 and no guardian's consent came with the call.",
		"Obtain the guardian's separate consent and send the guardian block.", "未满十四周岁且无监护人同意"},
	SubjectUnavailable: {"SUBJECT_UNAVAILABLE", Precondition, AskOperator, "The person cannot be processed. One answer for every cause.",
		"Do not process this person.", "当事人信息不可处理"},
	HoldActive: {"HOLD_ACTIVE", Precondition, AskOperator, "A legal hold keeps what the call would remove.",
		"Wait until the hold is released.", "存在保全，不能删除"},
	IdentityNotProven: {"IDENTITY_NOT_PROVEN", Precondition, FixRequest, "The requester's identity is not proven.",
		"Prove it as the reply lists.", "身份未核实"},
	DeadlinePassed: {"DEADLINE_PASSED", Precondition, AskOperator, "The act was allowed only before a deadline that has passed.",
		"Decide the request now.", "已超过期限"},
	RightNotRefusable: {"RIGHT_NOT_REFUSABLE", Precondition, FixRequest, "This right cannot be refused.",
		"Carry the request out.", "该权利不得拒绝"},
	IncidentIncomplete: {"INCIDENT_INCOMPLETE", Precondition, FixRequest, "The incident lacks a part that the law asks for.",
		"Fill the parts named in BadRequest.", "事件记录不完整"},
	PolicyVersionRequired: {"POLICY_VERSION_REQUIRED", Precondition, AskOperator, "The client has to acknowledge the policy in force first, or the act is a material change that no published version lists.",
		"A client reads and acknowledges the version in force (AcknowledgePolicy); an administrator publishes one that lists the change.", "须先确认现行政策版本，或先发布列明该变更的版本"},
	RetentionBelowFloor: {"RETENTION_BELOW_FLOOR", Precondition, FixRequest, "The retention asked for is shorter than the law allows.",
		"Network logs stay at least six calendar months.", "保存期限低于法定下限"},
	ClockUntrusted: {"CLOCK_UNTRUSTED", Precondition, AskOperator, "The clock is not synchronised or jumped; nothing that depends on a date is done.",
		"Repair time synchronisation.", "时钟不可信"},
	ApprovalRequired: {"APPROVAL_REQUIRED", Precondition, AskOperator, "The act waits for a second person. Metadata names the approval.",
		"Have another entitled person approve it.", "等待第二人批准"},
	DisclosureNotApproved: {"DISCLOSURE_NOT_APPROVED", Precondition, AskOperator, "No approved disclosure covers this export.",
		"Register the disclosure and have it approved.", "披露未获批准"},
	ContractMissing: {"CONTRACT_MISSING", Precondition, AskOperator, "The recipient's contract is missing or has expired.",
		"Record a contract that is in force.", "缺少有效合同"},
	DatasetNotActive: {"DATASET_NOT_ACTIVE", Precondition, AskOperator, "The dataset or its generation is not in the state that the act needs.",
		"See ListDatasets for its state.", "数据集状态不符"},
	RequestIDReused: {"REQUEST_ID_REUSED", Exists, FixRequest, "The request_id was used for other content, or its content is gone.",
		"Make a new request_id for each new verification.", "请求编号已用于其他内容"},
	ResourceExists: {"RESOURCE_EXISTS", Exists, FixRequest, "A resource of this id exists already.",
		"Choose another id, or use the existing resource.", "资源已存在"},
	RequestInProgress: {"REQUEST_IN_PROGRESS", Aborted, RetrySameID, "A twin of this request is still being answered.",
		"Send the same request again after RetryInfo.", "相同请求正在处理"},
	RevisionConflict: {"REVISION_CONFLICT", Aborted, FixRequest, "The resource was changed by somebody else since it was read.",
		"Read it again and repeat the change.", "资源已被他人修改"},
	QuotaExceeded: {"QUOTA_EXCEEDED", Exhausted, AskOperator, "The entitlement's quota is used up.",
		"Ask the operator for more, or wait for the next period.", "配额已用尽"},
	BudgetExceeded: {"BUDGET_EXCEEDED", Exhausted, AskOperator, "A budget for paid calls is used up.",
		"Ask the operator.", "预算已用尽"},
	RateLimited: {"RATE_LIMITED", Exhausted, RetrySameID, "Too many calls in a short time.",
		"Send the same request again after RetryInfo.", "请求过于频繁"},
	EnumerationSuspected: {"ENUMERATION_SUSPECTED", Exhausted, AskOperator, "The pattern of calls looks like guessing.",
		"Stop; ask the operator to announce a legitimate campaign.", "疑似批量试探"},
	LogUnavailable: {"LOG_UNAVAILABLE", Unavailable, RetrySameID, "The network log cannot be written, and nothing is answered without it.",
		"Retry with back-off under the same request_id; the operator is alarmed.", "网络日志不可写"},
	StoreUnavailable: {"STORE_UNAVAILABLE", Unavailable, RetrySameID, "The store cannot be read or written, or a row fails its integrity check.",
		"Retry with back-off under the same request_id.", "存储不可用"},
	SourceUnavailable: {"SOURCE_UNAVAILABLE", Unavailable, RetrySameID, "No authority could be asked.",
		"Retry with back-off under the same request_id.", "数据源不可用"},
	ShuttingDown: {"SHUTTING_DOWN", Unavailable, RetrySameID, "The server is draining.",
		"Retry; another connection will be served.", "服务正在关闭"},
	DeadlineReached: {"DEADLINE_REACHED", Deadline, RetrySameID, "The call's deadline passed before an answer was durable.",
		"Retry under the same request_id, which returns what was done.", "已超过调用时限"},
	CallerCancelled: {"CALLER_CANCELLED", Cancelled, RetrySameID, "The caller cancelled the call.",
		"Retry under the same request_id if the answer is still wanted.", "调用方已取消"},
	ResourceNotFound: {"RESOURCE_NOT_FOUND", NotFound, FixRequest, "There is no such resource, or it belongs to another client.",
		"Check the id.", "资源不存在"},
	MethodUnknown: {"METHOD_UNKNOWN", Unimplemented, FixRequest, "The server has no such method.",
		"Check the method's name and the server's version.", "方法不存在"},
	InternalError: {"INTERNAL", Internal, AskOperator, "A defect of the server. The operator finds the cause by the log entry.",
		"Report the log entry of the trailer.", "内部错误"},
}

// Row returns the table's row. It panics for a Reason that is not in the table: only a constant of
// this package is a Reason.
func (r Reason) Row() *Row {
	if !r.Valid() {
		panic("fault: reason outside the table")
	}
	return &rows[r]
}

// Valid reports whether r is in the table.
func (r Reason) Valid() bool { return r > 0 && int(r) < len(rows) }

// String returns the name as in ErrorInfo.reason.
func (r Reason) String() string {
	if !r.Valid() {
		return "ERROR_REASON_UNSPECIFIED"
	}
	return rows[r].Name
}

// Reasons returns every reason of the table, in the order of the public enum.
func Reasons() []Reason {
	all := make([]Reason, 0, len(rows)-1)
	for r := Reason(1); r.Valid(); r++ {
		all = append(all, r)
	}
	return all
}
