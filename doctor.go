// doctor: every check the service can fail, each with its evidence and one fix. It judges nothing: the checks and the
// problems are those of the diagnosis.
package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// A checkReport is one check of doctor. Its status is ok, warn, fail, or unknown: it could not be told.
type checkReport struct {
	ID      string        `json:"id"`
	Status  string        `json:"status"`
	Summary string        `json:"summary"`
	Fix     string        `json:"fix"` // one command or action; "" when none is needed
	more    []checkReport // of further problems of the same check
}

func (a *app) doctor(ctx context.Context, _ options) error {
	if a.manager == nil {
		return a.mayManage()
	}
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	s := a.inspect(ctx, request{checks: true})
	if ctx.Err() != nil {
		return errInterrupted
	}
	reports := checkReports(s, a.manager.judgements())
	bad := 0
	for _, c := range reports {
		if c.Status == "fail" {
			bad++
		}
	}
	a.seen = &s
	for _, c := range reports {
		a.sayCheck(c)
		for _, more := range c.more {
			a.sayCheck(more)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks failed", bad, len(reports))
	}
	return nil
}

func (a *app) sayCheck(c checkReport) {
	line := c.ID + ": " + c.Summary
	switch c.Status {
	case "ok":
		a.out.done("%s", line)
	case "warn":
		a.out.warn("%s", line)
	case "fail":
		a.out.found("%s", line)
	default:
		a.out.info("? %s", line)
	}
	if c.Fix != "" {
		a.out.info("  Fix: %s", c.Fix)
	}
}

// checkReports tells each check by its problems, a failure first, or by its evidence where it has none.
func checkReports(s snapshot, own judgements) []checkReport {
	problems := diagnose(s, own)
	slices.SortStableFunc(problems, func(a, b problem) int { return cmp.Compare(a.severity, b.severity) }) // "fail", "warn"
	var all []checkReport
	for _, c := range allChecks(own) {
		var found []checkReport
		for _, p := range problems {
			if p.check == c.id {
				found = append(found, checkReport{ID: c.id, Status: string(p.severity), Summary: p.summary, Fix: p.help()})
			}
		}
		if len(found) == 0 {
			known, text := c.evidence(s)
			found = []checkReport{{ID: c.id, Status: map[bool]string{true: "ok", false: "unknown"}[known], Summary: text}}
		}
		found[0].more = found[1:]
		all = append(all, found[0])
	}
	return all
}
