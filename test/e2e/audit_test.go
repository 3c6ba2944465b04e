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

// now returns the end of the audit log.
func now(t *testing.T) measure.Mark {
	t.Helper()
	mark, err := measure.End(suite.cluster.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	return mark
}

// operatorRequests returns those of the operator's requests since the mark that kind selects.
func operatorRequests(since measure.Mark, kind func(measure.Request) bool) ([]measure.Request, error) {
	all, _, err := measure.Requests(suite.cluster.AuditLog(), since, operator.User)
	return slices.DeleteFunc(all, func(r measure.Request) bool { return !kind(r) }), err
}

// nothingForbidden returns an error if the API server has ever denied a request of the operator.
func nothingForbidden() error {
	forbidden, err := operatorRequests(0, measure.Request.Forbidden)
	if err != nil {
		return err
	}
	return unless(len(forbidden) == 0, "the operator's role doesn't allow %v", forbidden)
}

// noWrites returns an error if the operator has written anything since the mark.
func noWrites(since measure.Mark) error {
	writes, err := operatorRequests(since, measure.Request.IsWrite)
	if err != nil {
		return err
	}
	return unless(len(writes) == 0, "%d writes: %v", len(writes), writes)
}

// metric returns the sum of an operator's metric over all its labels.
func metric(ctx context.Context, name string) (float64, error) {
	text, err := suite.operator.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	return measure.Sum(text, name)
}

// reconciles returns the number of passes that the operator has made since it was started.
func reconciles(t *testing.T) float64 {
	t.Helper()
	total, err := metric(t.Context(), measure.Reconciles)
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// memory returns the resident memory of the operator's process, in MiB.
func memory(t *testing.T) float64 {
	t.Helper()
	bytes, err := metric(t.Context(), "process_resident_memory_bytes")
	if err != nil {
		t.Fatal(err)
	}
	return bytes / (1 << 20)
}

// untilOperatorIdle waits until the operator has made no pass and no write for two seconds.
func untilOperatorIdle(t *testing.T) {
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
		return unless(time.Since(since) >= rest, "the operator isn't idle: %v passes", latest)
	})
}
