package architecture

import "strings"

// module is the import path that the patterns below are relative to.
const module = "github.com/heyan-project/heyan"

// row says what the packages that match pkgs may import. Each member is a list of patterns, separated
// by spaces: "a/b" is that package, "a/*" is everything below it, "a/..." is both, and "!" before a
// pattern takes out what it matches. The pkgs of the first row that matches a package govern it.
// A package below .../internal/ is governed by the row of the package that it is internal to.
type row struct {
	pkgs string
	// ours lists packages of this module, without the module's path.
	ours string
	// outside lists import paths of other modules; each stands for all below it too.
	outside string
}

const (
	domain   = "verifier/fault verifier/field verifier/digest verifier/workday"
	routed   = "verifier/secret verifier/field verifier/fault verifier/digest verifier/product verifier/dataset"
	contract = "verifier/* !verifier/source/..."

	rpc       = "google.golang.org/grpc google.golang.org/protobuf google.golang.org/genproto/googleapis/rpc"
	telemetry = "go.opentelemetry.io github.com/prometheus"
)

// table is "who may import whom". A package that no row matches is refused.
var table = []row{
	{pkgs: "proto/heyan/...", ours: "proto/heyan/...", outside: rpc},

	{pkgs: "verifier/secret verifier/fault verifier/workday"},
	{pkgs: "verifier/field", ours: "verifier/secret verifier/fault", outside: "golang.org/x/text/unicode/norm"},
	{pkgs: "verifier/digest", ours: "verifier/secret verifier/fault verifier/field"},
	{pkgs: "verifier/product verifier/role verifier/dataset verifier/retention verifier/register", ours: domain},
	// What is counted and published is counted and published of products.
	{pkgs: "verifier/usage verifier/policy", ours: domain + " verifier/product"},
	{pkgs: "verifier/consent verifier/subject", ours: domain + " verifier/product"},
	// The rows of one verification, of its claim and of its commit.
	{pkgs: "verifier/ledger", ours: domain + " verifier/product verifier/consent verifier/subject verifier/usage"},
	// A customer and its credentials, whose ids are the ledger's.
	{pkgs: "verifier/account", ours: domain + " verifier/ledger"},

	{pkgs: "verifier/source", ours: routed, outside: "golang.org/x/time/rate github.com/sony/gobreaker/v2"},
	{pkgs: "verifier/source/registry verifier/source/simulator", ours: routed + " verifier/source"},
	{pkgs: "verifier/source/tencent", ours: routed + " verifier/source", outside: "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"},
	{pkgs: "verifier/source/aliyun", ours: routed + " verifier/source"},
	{pkgs: "verifier/source/remote", ours: routed + " verifier/source proto/heyan/source/...", outside: rpc},

	{pkgs: "verifier", ours: "verifier/* !verifier/source/*"},

	{pkgs: "store", ours: contract},
	{pkgs: "store/storetest store/directory", ours: contract + " store"},
	{pkgs: "store/embedded/...", ours: contract + " store store/embedded/...", outside: "github.com/cockroachdb/pebble/v2 golang.org/x/sys"},
	{pkgs: "store/redisstore/...", ours: contract + " store store/redisstore/...", outside: "github.com/redis/go-redis/v9"},

	{pkgs: "store/netlog/retention", ours: "store/netlog/... verifier/workday", outside: logFormat},
	// The one package of the log that calls fsync.
	{pkgs: "store/netlog/disk", ours: "store/netlog/...", outside: "golang.org/x/sys"},
	{pkgs: "store/netlog/mirror", ours: "store/netlog/...", outside: logFormat + " github.com/minio/minio-go/v7"},
	{pkgs: "store/netlog/...", ours: "store/netlog/...", outside: logFormat},

	// Proto types stop at server/api: beside it only the assembled server, which registers the services
	// and builds its codec from their descriptors, and the one for tests know them.
	{pkgs: "server server/api server/servertest", ours: "proto/... verifier/... store/... server/...", outside: rpc + " " + telemetry},
	{pkgs: "server/*", ours: "verifier/... store/... server/...", outside: rpc + " " + telemetry},

	// Of x/text the terminal needs how wide a Chinese name is; x/sys refuses core dumps and ptrace at start.
	{pkgs: "cmd/...", ours: "proto/... verifier/... store/... server/... cmd/...",
		outside: rpc + " github.com/spf13/cobra github.com/spf13/pflag go.yaml.in/yaml/v3 golang.org/x/term golang.org/x/text/width golang.org/x/sys"},

	// Measuring programs: nothing imports them.
	{pkgs: "deploy/bench/...", ours: "proto/... verifier/... store/... server/... deploy/bench/...", outside: rpc + " golang.org/x/sys"},
	// What a client's own program needs, and no more.
	{pkgs: "deploy/docs/examples/...", ours: "proto/heyan/...", outside: rpc},
	{pkgs: "deploy/ci/architecture"},
}

const logFormat = "golang.org/x/mod/sumdb/tlog golang.org/x/mod/sumdb/note " +
	"google.golang.org/protobuf/encoding/protowire github.com/klauspost/compress"

// stdRow takes packages of the standard library from the packages that match pkgs, in the same patterns.
type stdRow struct{ pkgs, denied, why string }

const adapters = "verifier/source/tencent verifier/source/aliyun verifier/source/remote"

var stdTable = []stdRow{
	{pkgs: "verifier/secret", denied: "net/... os/... log syscall", why: "secret knows log/slog only to hide itself from it"},
	{pkgs: adapters, denied: "os/... log/... syscall", why: "adapters do network I/O and nothing else"},
	// net/netip is an address as a value, without a network.
	{pkgs: "verifier/...", denied: "net/... !net/netip os/... log/... syscall", why: "the domain does no I/O and has no logger"},
}

// pure are the packages that may not reach a network or another process by any chain of imports, and
// unreachable the packages that they would reach them by.
const (
	pure        = "verifier/... !verifier/source/tencent !verifier/source/aliyun !verifier/source/remote"
	unreachable = "net os/exec plugin google.golang.org/grpc/... google.golang.org/protobuf/..."
)

// clockless packages take the time as an argument.
const clockless = "verifier/..."

// syncing packages may make bytes durable; everybody else calls them. The benchmarks have a bare group commit of their
// own to compare with.
const syncing = "store/netlog/disk store/embedded/... deploy/bench/..."

// throughDisk packages may call Sync on what store/netlog/disk gave them, as long as they do not import os
// and so have no file of their own.
const throughDisk = "store/netlog/..."

// vague package names say nothing of what is inside.
const vague = "util utils common core helper helpers mock mocks type types"

// topLevel are the entries of the repository's root, beside dotfiles.
const topLevel = "LICENSE README.md buf.yaml go.mod go.sum proto verifier store server cmd deploy"

// matches says whether path is in a list of patterns.
func matches(patterns, path string) bool {
	in := false
	for _, p := range strings.Fields(patterns) {
		p, out := strings.CutPrefix(p, "!")
		if !matchesOne(p, path) {
			continue
		}
		if out {
			return false
		}
		in = true
	}
	return in
}

func matchesOne(pattern, path string) bool {
	if p, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == p || strings.HasPrefix(path, p+"/")
	}
	if p, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(path, p+"/")
	}
	return path == pattern
}
