package main

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func logSegments(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "segments",
		Short: "List the parts of the log, and what keeps each",
		Long: `Segments lists the sealed parts, from the oldest, and last what is not sealed yet. KEPT BY says why a part stays: NOT_YET,
its time is not over; HELD, by a hold; CLOCK_UNTRUSTED, no date can be judged now; BEHIND, an older one stays; LIVE, it is
not sealed. Empty: it may go. SHA-256 is of the file, to be compared with a copy.`,
		Example: "  heyan log segments\n  heyan log segments -o json",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				log := heyanv1.NewLogServiceClient(conn)
				all, err := pages(func(token string) ([]*heyanv1.LogSegment, string, error) {
					page, err := log.ListLogSegments(ctx, &heyanv1.ListLogSegmentsRequest{PageSize: pageSize, PageToken: token})
					return page.GetSegments(), page.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				table := output.NewTable("FIRST", "END", "BYTES", "OLDEST +08:00", "LATEST", "PURGEABLE FROM", "KEPT BY", "HOLD", "REGION", "SHA-256")
				for _, s := range all {
					size := ""
					if len(s.GetSha256()) > 0 {
						size = output.Count(s.GetBytes())
					}
					table.Row(fmt.Sprint(s.GetFirstIndex()), fmt.Sprint(s.GetEndIndex()), size, when(s.GetOldestTime()), when(s.GetLatestTime()),
						when(s.GetPurgeableFrom()), s.GetKeptBy(), s.GetHold(), s.GetRegion(), hex.EncodeToString(s.GetSha256()))
				}
				return a.print(&heyanv1.ListLogSegmentsResponse{Segments: all}, table)
			})
		},
	}
}

// nextPurgeText says what goes next, and what keeps it.
func nextPurgeText(n *heyanv1.LogCoverage_NextPurge) string {
	if n == nil {
		return "none: nothing is sealed"
	}
	text := fmt.Sprintf("not before %s: records %d to %d (%s)", whenZoned(n.GetTime()), n.GetFirstIndex(), n.GetEndIndex()-1, output.Count(int64(n.GetRecords())))
	switch {
	case n.GetHold() != "":
		text += ", kept by the hold " + n.GetHold()
	case n.GetKeptBy() != "":
		text += ", kept by " + n.GetKeptBy()
	}
	return text
}

// notHeldText says what a log does not hold.
func notHeldText(g *heyanv1.LogGap) string {
	text := "some records"
	if g.GetEndIndex() > 0 {
		text = fmt.Sprintf("records %d to %d", g.GetStartIndex(), g.GetEndIndex()-1)
	}
	if g.GetOrigin() != "" {
		text += " of " + g.GetOrigin()
	}
	return text + ": " + g.GetReason()
}
