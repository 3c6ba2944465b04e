// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecode(t *testing.T) {
	decoded, err := Decode(strings.NewReader("---\nkind: A\n---\n# nothing\n---\nkind: B\n"))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, object := range decoded {
		kinds = append(kinds, object.GetKind())
	}
	if diff := cmp.Diff([]string{"A", "B"}, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if _, err := Decode(strings.NewReader("kind: [A")); err == nil {
		t.Error("no error for invalid YAML")
	}
}

func TestUntil(t *testing.T) {
	failure := errors.New("failure")
	left := []error{failure, nil}
	err := Until(t.Context(), time.Minute, func(context.Context) error {
		err := left[0]
		left = left[1:]
		return err
	})
	if err != nil || len(left) > 0 {
		t.Errorf("%v, and %d checks are left", err, len(left))
	}
	err = Until(t.Context(), time.Nanosecond, func(context.Context) error { return failure })
	if !errors.Is(err, failure) {
		t.Errorf("the error is %v, want that of the check", err)
	}
	interrupted := false
	err = Until(t.Context(), 2*poll, func(ctx context.Context) error {
		if !interrupted {
			interrupted = true
			return failure
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, failure) {
		t.Errorf("the error is %v, want that of the check before the interrupted one", err)
	}
}
