// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/leaderworkerset/lws-operator/test/operator"
)

// request is one line of the audit log: something that was asked of the API server.
type request struct {
	Verb       string
	RequestURI string
	User       struct{ Username string }
	ObjectRef  struct{ Resource string }

	// Annotations say how it was decided on.
	Annotations map[string]string
}

func (r request) String() string { return r.Verb + " " + r.RequestURI }

// query is a parameter of the request, "" if there is none.
func (r request) query(parameter string) string {
	uri, err := url.Parse(r.RequestURI)
	if err != nil {
		return ""
	}
	return uri.Query().Get(parameter)
}

// auditMark is a place in the audit log, in bytes.
type auditMark int64

// now marks the end of the audit log.
func now(t *testing.T) auditMark {
	t.Helper()
	info, err := os.Stat(suite.cluster.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	return auditMark(info.Size())
}

// operatorRequests are the operator's requests with one of the verbs since the mark.
func operatorRequests(since auditMark, verbs ...string) ([]request, error) {
	return operatorsOwn(since, func(r request) bool { return slices.Contains(verbs, r.Verb) })
}

// operatorsOwn are those of the operator's requests since the mark that are wanted.
func operatorsOwn(since auditMark, wanted func(request) bool) ([]request, error) {
	file, err := os.Open(suite.cluster.AuditLog())
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(int64(since), io.SeekStart); err != nil {
		return nil, err
	}
	var own []request
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return own, nil // The rest is a line that is being written.
		}
		var read request
		if err == nil {
			err = json.Unmarshal(line, &read)
		}
		if err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		if strings.HasPrefix(read.User.Username, "system:serviceaccount:"+operator.Namespace+":") && wanted(read) {
			own = append(own, read)
		}
	}
}

// nothingForbidden is an error if the operator has ever asked for something that its role doesn't allow.
func nothingForbidden() error {
	forbidden, err := operatorsOwn(0, func(r request) bool { return r.Annotations["authorization.k8s.io/decision"] == "forbid" })
	if err != nil {
		return err
	}
	return unless(len(forbidden) == 0, "the operator's role lacks what it takes for %v", forbidden)
}

// noWrites is an error if the operator has written anything since the mark.
func noWrites(since auditMark) error {
	writes, err := operatorRequests(since, "create", "update", "patch", "apply", "delete", "deletecollection")
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
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, metric := range families[name].GetMetric() {
		sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
	}
	return sum, nil
}

// reconciles is how many passes the operator has made since it was started.
func reconciles(t *testing.T) float64 {
	t.Helper()
	total, err := metric(t.Context(), "controller_runtime_reconcile_total")
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
		latest, err := metric(ctx, "controller_runtime_reconcile_total")
		if err != nil {
			return err
		}
		if err := noWrites(mark); err != nil || latest != total {
			total, since, mark = latest, time.Now(), now(t)
		}
		return unless(time.Since(since) >= rest, "the operator is at work: %v passes", latest)
	})
}
