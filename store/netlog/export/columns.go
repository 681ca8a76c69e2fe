package export

import (
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"

	"github.com/heyan-project/heyan/store/netlog/record"
)

// row is one record as it is written.
type row struct {
	index   uint64
	leaf    []byte
	amended string // the event that amended it later; what the exporter says, no part of the leaf
	record  record.Record
}

// kind is how JSON writes a cell.
type kind uint8

const (
	text   kind = iota // a string
	number             // digits
	raw                // JSON by itself
)

// column is one thing that a row shows. Its value is appended to b; nothing appended is a cell without value, which JSON
// leaves out.
type column struct {
	name, zh string
	kind     kind
	value    func(b []byte, r *row) []byte
}

// Names of the columns that the verifier reads; the others it only makes anew from the leaf.
const (
	indexColumn   = "index"
	leafColumn    = "leaf"
	amendedColumn = "amended_by"
)

// columns are all that there are, in order. The leaf stands behind what was made of it, amended_by behind the leaf.
var columns = []column{
	{indexColumn, "序号", number, func(b []byte, r *row) []byte { return strconv.AppendUint(b, r.index, 10) }},
	{"occurred_at", "发生时间（UTC）", text, func(b []byte, r *row) []byte { return appendTime(b, r.record.Time.UTC()) }},
	{"occurred_at_local", "发生时间（+08:00）", text, func(b []byte, r *row) []byte { return appendTime(b, r.record.Time.In(beijing)) }},
	{"clock_state", "时钟状态", text, func(b []byte, r *row) []byte {
		return appendName(b, r.record.Clock.State != 0, r.record.Clock.State.String())
	}},
	{"clock_offset_ns", "时钟偏差（纳秒）", number, func(b []byte, r *row) []byte { return appendInt(b, int64(r.record.Clock.Offset)) }},
	{"category", "类别", text, func(b []byte, r *row) []byte { return append(b, r.record.Category.String()...) }},
	{"event", "事件", text, func(b []byte, r *row) []byte { return append(b, r.record.Event.String()...) }},
	{"severity", "级别", text, func(b []byte, r *row) []byte { return append(b, r.record.Severity.String()...) }},
	{"actor_kind", "主体类型", text, func(b []byte, r *row) []byte {
		return appendName(b, r.record.Actor.Kind != 0, r.record.Actor.Kind.String())
	}},
	{"actor", "主体", text, func(b []byte, r *row) []byte { return append(b, r.record.Actor.ID...) }},
	{"actor_role", "主体角色", text, func(b []byte, r *row) []byte { return append(b, r.record.Actor.Role...) }},
	{"actor_credential", "凭证指纹", text, func(b []byte, r *row) []byte { return append(b, r.record.Actor.Credential...) }},
	{"auth_method", "认证方式", text, func(b []byte, r *row) []byte { return append(b, r.record.Actor.AuthMethod...) }},
	{"on_behalf_of", "代表", text, func(b []byte, r *row) []byte { return append(b, r.record.Actor.OnBehalfOf...) }},
	{"session", "连接编号", text, func(b []byte, r *row) []byte { return append(b, r.record.Session...) }},
	{"trace_id", "追踪编号", text, func(b []byte, r *row) []byte { return appendHex(b, r.record.TraceID[:]) }},
	{"source_ip", "来源地址", text, func(b []byte, r *row) []byte { return appendIP(b, r.record.Source.IP) }},
	{"source_port", "来源端口", number, func(b []byte, r *row) []byte { return appendUint(b, uint64(r.record.Source.Port)) }},
	{"source_prefix_bits", "来源前缀长度", number, func(b []byte, r *row) []byte { return appendUint(b, uint64(r.record.Source.PrefixBits)) }},
	{"destination_ip", "目的地址", text, func(b []byte, r *row) []byte { return appendIP(b, r.record.Destination.IP) }},
	{"destination_port", "目的端口", number, func(b []byte, r *row) []byte { return appendUint(b, uint64(r.record.Destination.Port)) }},
	{"destination_name", "目的系统", text, func(b []byte, r *row) []byte { return append(b, r.record.Destination.Name...) }},
	{"destination_certificate", "目的证书指纹", text, func(b []byte, r *row) []byte { return append(b, r.record.Destination.Certificate...) }},
	{"via_ip", "负载均衡地址", text, func(b []byte, r *row) []byte { return appendIP(b, r.record.Via.IP) }},
	{"via_port", "负载均衡端口", number, func(b []byte, r *row) []byte { return appendUint(b, uint64(r.record.Via.Port)) }},
	{"tls_version", "TLS 版本", text, func(b []byte, r *row) []byte { return append(b, r.record.Protocol.TLSVersion...) }},
	{"cipher", "密码套件", text, func(b []byte, r *row) []byte { return append(b, r.record.Protocol.Cipher...) }},
	{"server_name", "服务器名", text, func(b []byte, r *row) []byte { return append(b, r.record.Protocol.ServerName...) }},
	{"user_agent", "客户端类型", text, func(b []byte, r *row) []byte { return append(b, r.record.Protocol.UserAgent...) }},
	{"action", "方法", text, func(b []byte, r *row) []byte { return append(b, r.record.Action...) }},
	{"object_type", "对象类型", text, func(b []byte, r *row) []byte { return append(b, r.record.Object.Type...) }},
	{"object_id", "对象编号", text, func(b []byte, r *row) []byte { return append(b, r.record.Object.ID...) }},
	{"outcome", "结果", text, func(b []byte, r *row) []byte { return append(b, r.record.Outcome.Kind.String()...) }},
	{"code", "状态码", number, func(b []byte, r *row) []byte { return strconv.AppendUint(b, uint64(r.record.Outcome.Code), 10) }},
	{"reason", "原因", text, func(b []byte, r *row) []byte { return append(b, r.record.Outcome.Reason...) }},
	{"bytes_in", "接收字节", number, func(b []byte, r *row) []byte { return appendUint(b, r.record.Traffic.BytesIn) }},
	{"bytes_out", "发送字节", number, func(b []byte, r *row) []byte { return appendUint(b, r.record.Traffic.BytesOut) }},
	{"messages_in", "接收消息数", number, func(b []byte, r *row) []byte { return appendUint(b, r.record.Traffic.MessagesIn) }},
	{"messages_out", "发送消息数", number, func(b []byte, r *row) []byte { return appendUint(b, r.record.Traffic.MessagesOut) }},
	{"duration_ns", "耗时（纳秒）", number, func(b []byte, r *row) []byte { return appendInt(b, int64(r.record.Traffic.Duration)) }},
	{"product", "产品", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return append(b, p.Product...) })},
	{"purpose", "目的", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return append(b, p.Purpose...) })},
	{"fields", "字段", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return appendList(b, p.Fields) })},
	{"legal_basis", "合法性基础", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return append(b, p.LegalBasis...) })},
	{"consent_use", "同意使用编号", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return append(b, p.ConsentUse...) })},
	{"policy_version", "政策版本", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return append(b, p.PolicyVersion...) })},
	{"verdict", "结论", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return append(b, p.Verdict...) })},
	{"authority", "数据源", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return append(b, p.Source...) })},
	{"as_of", "数据时点", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return appendTime(b, p.AsOf) })},
	{"dataset", "数据集", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return append(b, p.Dataset...) })},
	{"billing", "计费", text, ofProcessing(func(b []byte, p *record.Processing) []byte { return append(b, p.Billing...) })},
	{"reused", "重放", raw, ofProcessing(func(b []byte, p *record.Processing) []byte { return strconv.AppendBool(b, p.Reused) })},
	{"test", "测试", raw, ofProcessing(func(b []byte, p *record.Processing) []byte { return strconv.AppendBool(b, p.Test) })},
	{"commitment", "承诺值", text, func(b []byte, r *row) []byte { return appendHex(b, r.record.Commitment[:]) }},
	{"change_before", "变更前摘要", text, ofChange(func(b []byte, c *record.Change) []byte { return append(b, c.Before...) })},
	{"change_after", "变更后摘要", text, ofChange(func(b []byte, c *record.Change) []byte { return append(b, c.After...) })},
	{"change_diff", "变更内容", text, ofChange(func(b []byte, c *record.Change) []byte { return append(b, c.Diff...) })},
	{"attack", "攻击类型", text, ofSecurity(func(b []byte, s *record.Security) []byte { return append(b, s.Attack...) })},
	{"target", "攻击目标", text, ofSecurity(func(b []byte, s *record.Security) []byte { return append(b, s.Target...) })},
	{"rule", "规则", text, ofSecurity(func(b []byte, s *record.Security) []byte { return append(b, s.Rule...) })},
	{"attack_count", "攻击次数", number, ofSecurity(func(b []byte, s *record.Security) []byte { return appendUint(b, s.Count) })},
	{"attack_limit", "规则上限", number, ofSecurity(func(b []byte, s *record.Security) []byte { return appendUint(b, s.Limit) })},
	{"attack_window_ns", "规则时间窗（纳秒）", number, ofSecurity(func(b []byte, s *record.Security) []byte { return appendInt(b, int64(s.Window)) })},
	{"tally_count", "合计次数", number, ofTally(func(b []byte, t *record.Tally) []byte { return appendUint(b, t.Count) })},
	{"tally_first_at", "合计起始时间", text, ofTally(func(b []byte, t *record.Tally) []byte { return appendTime(b, t.First) })},
	{"tally_last_at", "合计结束时间", text, ofTally(func(b []byte, t *record.Tally) []byte { return appendTime(b, t.Last) })},
	{"tally_first_port", "合计起始端口", number, ofTally(func(b []byte, t *record.Tally) []byte { return appendUint(b, uint64(t.FirstPort)) })},
	{"tally_last_port", "合计结束端口", number, ofTally(func(b []byte, t *record.Tally) []byte { return appendUint(b, uint64(t.LastPort)) })},
	{"detail", "其他", raw, appendDetail},
	{leafColumn, "记录原始字节", text, func(b []byte, r *row) []byte { return base64.StdEncoding.AppendEncode(b, r.leaf) }},
	{amendedColumn, "后续更正", text, func(b []byte, r *row) []byte { return append(b, r.amended...) }},
}

// beijing is the zone of the law's calendar.
var beijing = time.FixedZone("+08:00", 8*60*60)

// columnNames are the names of all columns.
func columnNames() []string {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].name
	}
	return names
}

func ofProcessing(value func([]byte, *record.Processing) []byte) func([]byte, *row) []byte {
	return func(b []byte, r *row) []byte {
		if r.record.Processing == nil {
			return b
		}
		return value(b, r.record.Processing)
	}
}

func ofChange(value func([]byte, *record.Change) []byte) func([]byte, *row) []byte {
	return func(b []byte, r *row) []byte {
		if r.record.Change == nil {
			return b
		}
		return value(b, r.record.Change)
	}
}

func ofSecurity(value func([]byte, *record.Security) []byte) func([]byte, *row) []byte {
	return func(b []byte, r *row) []byte {
		if r.record.Security == nil {
			return b
		}
		return value(b, r.record.Security)
	}
}

func ofTally(value func([]byte, *record.Tally) []byte) func([]byte, *row) []byte {
	return func(b []byte, r *row) []byte {
		if r.record.Tally == nil {
			return b
		}
		return value(b, r.record.Tally)
	}
}

// appendTime writes all nine digits, so that times sort as texts do.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return t.AppendFormat(b, "2006-01-02T15:04:05.000000000Z07:00")
}

func appendName(b []byte, present bool, name string) []byte {
	if !present {
		return b
	}
	return append(b, name...)
}

func appendUint(b []byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendUint(b, n, 10)
}

func appendInt(b []byte, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(b, n, 10)
}

func appendHex(b, value []byte) []byte {
	for _, c := range value {
		if c != 0 {
			return hex.AppendEncode(b, value)
		}
	}
	return b
}

func appendIP(b []byte, ip netip.Addr) []byte {
	if !ip.IsValid() {
		return b
	}
	return ip.AppendTo(b)
}

func appendList(b []byte, list []string) []byte {
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s...)
	}
	return b
}
