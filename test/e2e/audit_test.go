// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/leaderworkerset/lws-operator/test/measure"
	"github.com/leaderworkerset/lws-operator/test/operator"
)

// now marks the end of the audit log.
func now(t *testing.T) measure.Mark {
	t.Helper()
	mark, err := measure.End(suite.cluster.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	return mark
}

// operatorRequests are the operator's requests since the mark that are of a kind.
func operatorRequests(since measure.Mark, kind func(measure.Request) bool) ([]measure.Request, error) {
	all, _, err := measure.Requests(suite.cluster.AuditLog(), since, operator.User)
	return slices.DeleteFunc(all, func(r measure.Request) bool { return !kind(r) }), err
}

// nothingForbidden is an error if the operator has ever asked for something that its role doesn't allow.
func nothingForbidden() error {
	forbidden, err := operatorRequests(0, measure.Request.Forbidden)
	if err != nil {
		return err
	}
	return unless(len(forbidden) == 0, "the operator's role lacks what it takes for %v", forbidden)
}

// noWrites is an error if the operator has written anything since the mark.
func noWrites(since measure.Mark) error {
	writes, err := operatorRequests(since, measure.Request.IsWrite)
	if err != nil {
		return err
	}
	return unless(len(writes) == 0, "%d writes: %v", len(writes), writes)
}

// metric is the sum of the operator's metric of that name over all its labels.
func metric(ctx context.Context, name string) (float64, error) {
	text, err := suite.operator.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	return measure.Sum(text, name)
}

// reconciles is how many passes the operator has made since it was started.
func reconciles(t *testing.T) float64 {
	t.Helper()
	total, err := metric(t.Context(), measure.Reconciles)
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// memory is what the operator's process takes, in MiB.
func memory(t *testing.T) float64 {
	t.Helper()
	bytes, err := metric(t.Context(), "process_resident_memory_bytes")
	if err != nil {
		t.Fatal(err)
	}
	return bytes / (1 << 20)
}

// untilOperatorRests waits until the operator has had nothing to do for two seconds.
func untilOperatorRests(t *testing.T) {
	t.Helper()
	const rest = 2 * time.Second
	total, since := reconciles(t), time.Now()
	mark := now(t)
	eventually(t, func(ctx context.Context) error {
		latest, err := metric(ctx, measure.Reconciles)
		if err != nil {
			return err
		}
		if err := noWrites(mark); err != nil || latest != total {
			total, since, mark = latest, time.Now(), now(t)
		}
		return unless(time.Since(since) >= rest, "the operator is at work: %v passes", latest)
	})
}
