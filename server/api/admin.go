package api

import (
	"sync"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// Admin is the AdminService: clients (admin_client.go), credentials (credentials.go), datasets (datasets.go,
// admin_import.go) and pending verifications (admin_pending.go).
type Admin struct {
	heyanv1.UnimplementedAdminServiceServer
	d *Deps

	// mu is held over every write, so that what a write was judged by (is this client new? is this certificate
	// free?) still holds when it is stored. Writes are rare.
	mu        sync.Mutex
	importing map[string]bool // datasets that an import is writing

	// deleting is held over DeleteRecords, which may take long and must not hold up a suspension.
	deleting sync.Mutex

	// settling is held over ResolvePending, which logs what it decides before it stores it.
	settling sync.Mutex
}

// NewAdmin makes the service.
func NewAdmin(d *Deps) *Admin { return &Admin{d: d, importing: map[string]bool{}} }
