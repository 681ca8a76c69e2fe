package main

import "golang.org/x/sys/unix"

// harden keeps plaintext of calls in flight from leaving with a core dump or a debugger: no core, no ptrace by
// other processes of the same user (prctl PR_SET_DUMPABLE).
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
