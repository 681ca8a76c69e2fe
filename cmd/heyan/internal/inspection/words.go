package inspection

import "fmt"

// Lang is a language of the pages.
type Lang string

// The languages, by the names that HTML and the files have for them.
const (
	Chinese Lang = "zh-CN"
	English Lang = "en"
)

// PageFile is the name of a page.
func PageFile(l Lang) string { return "index." + string(l) + ".html" }

// say returns a text in the language. A key that is not in the table is a defect that the first page of any test meets.
func (l Lang) say(key string, args ...any) string {
	both, ok := words[key]
	if !ok {
		panic("inspection: no words for " + key)
	}
	text := both[1]
	if l == Chinese {
		text = both[0]
	}
	if len(args) > 0 {
		return fmt.Sprintf(text, args...)
	}
	return text
}

// words are the texts: Chinese, English.
var words = map[string][2]string{
	"title":       {"网络日志检查材料包", "Network log: bundle for inspection"},
	"contents":    {"目录", "Contents"},
	"printed":     {"%s · %s · 公钥指纹 %s", "%s · %s · key %s"},
	"other":       {"English", "中文"},
	"yes":         {"是", "yes"},
	"no":          {"否", "no"},
	"open":        {"不限", "open"},
	"never":       {"无", "never"},
	"nothing":     {"无", "none"},
	"empty":       {"（无记录）", "(none)"},
	"newest":      {"仅列出最近 %d 条，共 %d 条；其余见 csv/ 与 jsonl/ 中的导出文件。", "The newest %d of %d are shown; all are in the exports, csv/ and jsonl/."},
	"zone":        {"所有时间均为北京时间（+08:00）；减去 8 小时即为 UTC。导出文件两者都有。", "All times are at +08:00; eight hours less is UTC. The exports have both."},
	"cover.fp":    {"日志公钥指纹（log.vkey 的 SHA-256）", "Fingerprint of the log's key (SHA-256 of log.vkey)"},
	"cover.fpsay": {"请与“heyan init”当时打印并另行保存的公钥核对：sha256sum log.vkey", "Compare it with the key that heyan init printed and somebody kept: sha256sum log.vkey"},
	"cover.same":  {"制作时已与调用者提供的公钥核对，一致。", "It was compared with a key given by whoever made this bundle: the same."},
	"cover.alone": {"制作时没有可供核对的公钥：该公钥出自服务器自身。", "No other key was given to compare it with: it comes from the server itself."},

	"c.system":     {"系统与节点", "System and node"},
	"c.region":     {"日志所在地区", "Region of the log"},
	"c.origin":     {"日志标识（origin）", "Log (origin)"},
	"c.period":     {"材料覆盖时段", "Period asked for"},
	"c.records":    {"记录", "Records"},
	"c.range":      {"%s 条，序号 %d 至 %d", "%s, indexes %d to %d"},
	"c.span":       {"首末记录时间", "First and last record"},
	"c.requester":  {"提取人（日志所载）", "Requested by (as the log has it)"},
	"c.made":       {"制作时间", "Made"},
	"c.program":    {"制作程序", "Made by"},
	"c.key":        {"日志公钥", "Verifier key"},
	"c.checkpoint": {"签名检查点：记录数", "Signed checkpoint: size"},
	"c.root":       {"签名检查点：根哈希（SHA-256，Merkle 树）", "Signed checkpoint: root (SHA-256, Merkle tree)"},

	"v":             {"核验结果", "Result of verification"},
	"v.whole":       {"导出完好：未发现问题", "The export is whole: nothing was found"},
	"v.broken":      {"导出不完好：见下列问题", "The export is NOT whole: see what follows"},
	"v.members":     {"每一行都已证明是签名日志中的记录，所示各列与记录字节一致。", "Every row is proven to be a record of the signed log, and shows what the record's bytes say."},
	"v.nomembers":   {"未能证明每一行都是签名日志中的记录。", "It is NOT proven that every row is a record of the signed log."},
	"v.complete":    {"已证明该范围内没有遗漏任何记录。", "It is proven that no record of the range is left out."},
	"v.period":      {"该范围由服务器按记录时间换算：自时段起点起的第一条记录，至时段终点前的最后一条；换算本身未被证明。", "The range was found by the server from the period: the first record at or after its beginning, to the last before its end. That is the server's word."},
	"v.nocomplete":  {"未能证明没有遗漏。", "It is NOT proven that nothing is left out."},
	"v.anchored":    {"与 %d 份中的 %d 份外部留存证据（检查点、回执）一致。", "Of %d pieces of outside evidence (checkpoints, receipts), %d agree."},
	"v.unanchored":  {"没有提供外部留存的检查点或回执：未作外部锚定，无法排除签名密钥持有人整体改写历史。", "No checkpoint or receipt from outside was given: not anchored outside. That the keeper of the signing key rewrote all of history is not excluded."},
	"v.server":      {"服务器自述：其全部日志（%s 条）完好。", "The server says of its whole log (%s records): whole."},
	"v.serverno":    {"服务器自述：其日志不完好。", "The server says of its log: NOT whole."},
	"v.again":       {"以上为制作时的结果。请在另一台机器上重新核验：heyan log verify 本目录 --key 公钥", "This is what it said where the bundle was made. Verify again, on another machine: heyan log verify DIR --key KEY"},
	"n":             {"本材料包不能证明的事项", "What this bundle does not prove"},
	"n.1":           {"本页文字与各表由程序从导出记录和服务器答复整理而成；得到证明的只有导出文件。账号、角色、覆盖情况出自服务器当时的答复，未被证明。", "These pages are a reading of the export and of the server's answers, made by a program; only the export is proven. Accounts, roles and coverage are what the server answered, and not proven."},
	"n.2":           {"同时持有签名密钥与磁盘者，可以改写最后一份离开本机的检查点之后的历史；只有外部留存的检查点与回执能够揭示。", "Whoever holds the signing key and the disk can rewrite history after the last checkpoint that left the machine; only checkpoints and receipts kept outside show it."},
	"n.3":           {"日志从未记下的事情无从证明，例如以 root 身份直接读取日志文件。", "What the log never recorded, such as root reading its files, cannot be shown."},
	"n.4":           {"记录的时间取自服务器时钟；每条记录载明当时时钟是否同步。", "Times are those of the server's clock; every record says whether it was synchronised."},
	"n.5":           {"SHA256SUMS 用于发现意外改动，不能防范有意替换：能改文件者也能改清单。", "SHA256SUMS shows a mishap, not a forger: whoever can change a file can change the list."},
	"n.6":           {"制作本材料包本身的读取记录写在所导出范围之后，不在其中。", "That this bundle was made is recorded behind the range that it holds, and is not in it."},
	"n.7":           {"本材料包不是合规证明。下列法规条文仅为存档引用，不作任何主张。", "It is no certificate of compliance. References to law stand here as they are on file; nothing is claimed."},
	"law":           {"法规依据（存档引用）", "Legal references (on file)"},
	"law.1":         {"《中华人民共和国网络安全法》第二十三条第（三）项（2026-01-01 前为第二十一条第（三）项）：监测、记录网络运行状态、网络安全事件，留存相关网络日志不少于六个月。", "Cybersecurity Law of the PRC, article 23(3) (before 2026-01-01: article 21(3)): monitor and record network operation status and security events, keep the logs not less than six months."},
	"law.2":         {"GB/T 22239-2019 第三级，8.1.4.3 安全审计：覆盖每个用户；记录日期和时间、用户、事件类型、是否成功；保护审计记录与审计进程。", "GB/T 22239-2019, level 3, 8.1.4.3 security audit: cover every user; date and time, user, type, success; protect the records and the process of auditing."},
	"law.3":         {"条文编号出自二手资料，请以正式文本为准。", "Article numbers come from secondary sources: the official text decides."},
	"a":             {"账号与角色", "Accounts and roles"},
	"a.note":        {"服务器于制作时的答复。", "What the server answered when the bundle was made."},
	"a.operators":   {"人员（操作员）", "People (operators)"},
	"a.clients":     {"客户端", "Clients"},
	"a.credentials": {"客户端凭据", "Credentials of clients"},
	"a.sold":        {"授权产品", "Entitlements"},
	"s":             {"登录与退出", "Log-in and log-out"},
	"s.people":      {"人员会话", "Sessions of people"},
	"s.clients":     {"客户端，按日汇总", "Clients, by day"},
	"s.failed":      {"失败的身份鉴别", "Authentication that failed"},
	"s.note":        {"会话即一次连接：开始为登录，结束为退出。", "A session is a connection: its beginning is the log-in, its end the log-out. One without an end was open at the end of the range, or its end was not recorded."},
	"o":             {"日志覆盖情况", "Coverage"},
	"o.oldest":      {"最早记录", "Oldest record"},
	"o.newest":      {"最新记录", "Newest record"},
	"o.records":     {"现存记录数", "Records held"},
	"o.required":    {"应覆盖起始日（六个自然月）", "Required from (six calendar months)"},
	"o.shortfall":   {"缺少天数", "Days that are missing"},
	"o.missing":     {"无法读取的日志", "Logs that cannot be read"},
	"o.gaps":        {"所要求时段中日志没有的部分", "Not held, of the period asked for"},
	"o.origins":     {"曾经存在的全部日志", "Every log that the store has ever seen"},
	"o.counts":      {"导出范围内各类事件数量", "What the range holds, by event"},
	"r":             {"谁读取过日志", "Who read the log"},
	"r.note":        {"详情：[起始序号, 终止序号) × 实际给出的记录数；筛选条件只记名称。", "Detail: [first index, index after the last) × records given out; of filters the names."},
	"g":             {"配置变更历史", "Configuration history"},
	"g.note":        {"每次变更记载变更前后的摘要（digest）与差异；差异中不含密钥等秘密。", "Each record has digests from before and after, and the difference, without secrets."},
	"m":             {"管理操作与审批", "Administrative changes and approvals"},
	"m.approvals":   {"双人审批", "Acts of two persons"},
	"e":             {"网络安全事件", "Network security events"},
	"k":             {"留存", "Retention"},
	"k.said":        {"留存说明（服务器所述）", "Retention statement, as the server has it"},
	"k.events":      {"留存、封存、清除与备份记录", "Records of retention, sealing, purging and backup"},
	"t":             {"网络运行状态", "Operation status"},
	"t.note":        {"服务器每分钟写一条心跳，因此“没有记录”与“在运行但空闲”可以区分。", "The server writes a heartbeat every minute, so that silence is told from idleness."},
	"t.gaps":        {"没有心跳的时段", "Times without heartbeat"},
	"t.nogaps":      {"范围内没有超过 150 秒而无心跳的时段。", "No time of more than 150 seconds in the range is without a heartbeat."},
	"t.days":        {"每日心跳", "Heartbeats by day"},
	"t.events":      {"启动、停止与其他系统事件", "Starts, stops and other events of the system"},
	"t.stopped":     {"正常停止", "stopped in order"},
	"t.edge":        {"此前或此后范围内没有心跳、启动或停止记录", "no heartbeat, start or stop in the range before or behind it"},
	"t.silent":      {"中断，无停止记录", "silent, without a stop on record"},
	"p":             {"样本记录", "Samples"},
	"p.note":        {"每种事件若干条，列出记录所具有的全部列；记录字节在 leaf 列（base64）。", "Some records of each event, with every column that they have; the record's bytes are in the column leaf (base64)."},

	"h.time":      {"时间 +08:00", "Time +08:00"},
	"h.from":      {"自 +08:00", "From +08:00"},
	"h.to":        {"至 +08:00", "To +08:00"},
	"h.index":     {"序号", "Index"},
	"h.event":     {"事件 / 对象", "Event / object"},
	"h.actor":     {"操作者 / 来源地址", "Actor / source"},
	"h.role":      {"角色", "Role"},
	"h.roles":     {"角色", "Roles"},
	"h.who":       {"操作者", "Actor"},
	"h.type":      {"事件", "Event"},
	"h.source":    {"来源地址", "Source"},
	"h.outcome":   {"结果", "Outcome"},
	"h.detail":    {"详情", "Detail"},
	"h.login":     {"登录 +08:00", "Log-in +08:00"},
	"h.logout":    {"退出 +08:00", "Log-out +08:00"},
	"h.auth":      {"鉴别方式", "By"},
	"h.session":   {"会话", "Session"},
	"h.day":       {"日期", "Day"},
	"h.client":    {"客户端", "Client"},
	"h.logins":    {"登录次数", "Log-ins"},
	"h.logouts":   {"退出次数", "Log-outs"},
	"h.calls":     {"调用", "Calls"},
	"h.refused":   {"未成功", "Not successful"},
	"h.id":        {"标识", "Id"},
	"h.name":      {"名称", "Name"},
	"h.person":    {"人员", "Person"},
	"h.state":     {"状态", "State"},
	"h.readonly":  {"只读", "Read only"},
	"h.expires":   {"到期 +08:00", "Expires +08:00"},
	"h.boundby":   {"绑定人 / 批准人", "Bound by / approved by"},
	"h.bound":     {"绑定时间 +08:00", "Bound +08:00"},
	"h.since":     {"创建 +08:00", "Since +08:00"},
	"h.kind":      {"种类", "Kind"},
	"h.test":      {"测试", "Test"},
	"h.used":      {"最近使用 +08:00", "Last used +08:00"},
	"h.addresses": {"允许的地址", "Addresses allowed"},
	"h.product":   {"产品", "Product"},
	"h.purposes":  {"用途", "Purposes"},
	"h.quota":     {"额度", "Quota"},
	"h.node":      {"节点", "Node"},
	"h.readable":  {"可读", "Readable"},
	"h.follows":   {"接续 / 原因", "Follows / cause"},
	"h.count":     {"数量", "Count"},
	"h.category":  {"类别", "Category"},
	"h.requested": {"申请人", "Asked by"},
	"h.decided":   {"决定人", "Decided by"},
	"h.act":       {"操作", "Act"},
	"h.minutes":   {"有心跳的分钟 / 应有", "Minutes with heartbeat / of"},
	"h.failures":  {"内部失败", "Failures of its own"},
	"h.disk":      {"磁盘最少余量", "Least disk free"},
	"h.unsync":    {"时钟未确认同步", "Clock not known to be synchronised"},
	"h.length":    {"时长", "For"},
	"h.what":      {"说明", "What"},

	"ACCESS":         {"访问", "access"},
	"AUTHENTICATION": {"身份鉴别", "authentication"},
	"ADMIN":          {"管理", "administration"},
	"CONFIG":         {"配置", "configuration"},
	"SECURITY":       {"安全事件", "security"},
	"LOG_ACCESS":     {"日志读取", "reading of the log"},
	"DATA_LIFECYCLE": {"数据生命周期", "life of data"},
	"OUTBOUND":       {"对外调用", "outbound"},
	"SYSTEM":         {"系统运行", "operation"},
	"UNSPECIFIED":    {"未知", "unknown"},
}
