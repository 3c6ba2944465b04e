// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	authenticationapi "k8s.io/api/authentication/v1"
	authorizationapi "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/leaderworkerset/lws-operator/internal/metrics"
)

// reviewer is an API server. It knows every token but those that begin with "stranger", allows only the user
// "prometheus" to get /metrics, and is away for the token "away".
type reviewer struct {
	t *testing.T

	asked   *authorizationapi.SubjectAccessReview
	reviews int
}

func (r *reviewer) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var answer any
	r.reviews++
	switch request.URL.Path {
	case "/apis/authentication.k8s.io/v1/tokenreviews":
		review := &authenticationapi.TokenReview{}
		r.read(request, review)
		if review.Spec.Token == "away" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		review.Status.Authenticated = !strings.HasPrefix(review.Spec.Token, "stranger")
		review.Status.User = authenticationapi.UserInfo{
			Username: review.Spec.Token, UID: "1", Groups: []string{"monitoring"},
			Extra: map[string]authenticationapi.ExtraValue{"pod": {"a"}},
		}
		answer = review
	case "/apis/authorization.k8s.io/v1/subjectaccessreviews":
		r.asked = &authorizationapi.SubjectAccessReview{}
		r.read(request, r.asked)
		review := r.asked.DeepCopy()
		review.Status.Allowed = review.Spec.User == "prometheus"
		answer = review
	default:
		r.t.Errorf("unexpected request for %s", request.URL.Path)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		r.t.Error(err)
	}
}

func (r *reviewer) read(request *http.Request, into any) {
	if err := json.NewDecoder(request.Body).Decode(into); err != nil {
		r.t.Error(err)
	}
}

// RoundTrip makes the reviewer the transport of a client.
func (r *reviewer) RoundTrip(request *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	r.ServeHTTP(recorder, request)
	return recorder.Result(), nil
}

// guard returns a handler that answers 418 to those whom the filter admits.
func guard(t *testing.T, answers *reviewer) http.Handler {
	t.Helper()
	config := &rest.Config{Host: "https://api.invalid", ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
	filter, err := metrics.OnlyForAllowed(config, &http.Client{Transport: answers})
	if err != nil {
		t.Fatal(err)
	}
	admitted := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	guarded, err := filter(logr.Discard(), admitted)
	if err != nil {
		t.Fatal(err)
	}
	return guarded
}

// read returns the status of the answer to a reader.
func read(t *testing.T, guarded http.Handler, authorization string) int {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	request.Header.Set("Authorization", authorization)
	response := httptest.NewRecorder()
	guarded.ServeHTTP(response, request)
	return response.Code
}

func TestOnlyForAllowed(t *testing.T) {
	answers := &reviewer{t: t}
	guarded := guard(t, answers)
	for _, tc := range []struct {
		name, authorization string
		want, wantReviews   int
	}{
		{"nobody", "", http.StatusUnauthorized, 0},
		{"an empty token", "Bearer ", http.StatusUnauthorized, 0},
		{"a password", "Basic cHJvbWV0aGV1czp4", http.StatusUnauthorized, 0},
		// controller-runtime's filter answers 500 where 401 would say more.
		{"an unknown token", "Bearer stranger", http.StatusInternalServerError, 1},
		{"a user who may not", "Bearer user", http.StatusForbidden, 2},
		{"a user who may", "Bearer prometheus", http.StatusTeapot, 2},
		{"the same again", "bearer prometheus", http.StatusTeapot, 0},
		{"while the API server is away", "Bearer away", http.StatusInternalServerError, 1},
	} {
		answers.reviews = 0
		if got := read(t, guarded, tc.authorization); got != tc.want {
			t.Errorf("%s: answered with %d, want %d", tc.name, got, tc.want)
		}
		if answers.reviews != tc.wantReviews {
			t.Errorf("%s: %d reviews, want %d", tc.name, answers.reviews, tc.wantReviews)
		}
	}
	want := authorizationapi.SubjectAccessReviewSpec{
		User: "prometheus", UID: "1", Groups: []string{"monitoring", "system:authenticated"},
		Extra:                 map[string]authorizationapi.ExtraValue{"pod": {"a"}},
		NonResourceAttributes: &authorizationapi.NonResourceAttributes{Path: "/metrics", Verb: "get"},
	}
	if diff := cmp.Diff(want, answers.asked.Spec); diff != "" {
		t.Errorf("review of the user who may (-want +got):\n%s", diff)
	}
}

// TestBound has strangers cause 30 reviews, of which the last 10 wait a second for the rate of 10 a second.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := &reviewer{t: t}
		guarded := guard(t, answers)
		start := time.Now()
		for i := range 30 {
			read(t, guarded, fmt.Sprintf("Bearer stranger-%d", i))
		}
		if took := time.Since(start); answers.reviews != 30 || took.Round(time.Millisecond) != time.Second {
			t.Errorf("%d reviews took %s, want 30 in 1s", answers.reviews, took)
		}
	})
}
