// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	authenticationapi "k8s.io/api/authentication/v1"
	authorizationapi "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/leaderworkerset/lws-operator/internal/metrics"
)

// reviewer is an API server that knows the token "prometheus", whose user may get /metrics, and is away for the token "away".
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
		review.Status.Authenticated = review.Spec.Token != "stranger"
		review.Status.User = authenticationapi.UserInfo{
			Username: review.Spec.Token, UID: "1", Groups: []string{"monitoring"}, Extra: map[string]authenticationapi.ExtraValue{"pod": {"a"}},
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

func TestOnlyForAllowed(t *testing.T) {
	answers := &reviewer{t: t}
	server := httptest.NewServer(answers)
	defer server.Close()
	config := &rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
	filter, err := metrics.OnlyForAllowed(config, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	guarded, err := filter(logr.Discard(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, authorization string
		want                int
	}{
		{"nobody", "", http.StatusUnauthorized},
		{"an empty token", "Bearer ", http.StatusUnauthorized},
		{"a password", "Basic cHJvbWV0aGV1czp4", http.StatusUnauthorized},
		{"an unknown token", "Bearer stranger", http.StatusUnauthorized},
		{"a user who may not", "Bearer user", http.StatusForbidden},
		{"a user who may", "Bearer prometheus", http.StatusTeapot},
		{"the same again", "bearer prometheus", http.StatusTeapot},
		{"while the API server is away", "Bearer away", http.StatusInternalServerError},
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		request.Header.Set("Authorization", tc.authorization)
		response := httptest.NewRecorder()
		guarded.ServeHTTP(response, request)
		if response.Code != tc.want {
			t.Errorf("%s: answered with %d, want %d", tc.name, response.Code, tc.want)
		}
	}
	if want := 1 + 2 + 2 + 1; answers.reviews != want { // an unknown token, a user, another one who isn't asked about again, and one more
		t.Errorf("%d reviews, want %d", answers.reviews, want)
	}
	want := authorizationapi.SubjectAccessReviewSpec{
		User: "prometheus", UID: "1", Groups: []string{"monitoring"}, Extra: map[string]authorizationapi.ExtraValue{"pod": {"a"}},
		NonResourceAttributes: &authorizationapi.NonResourceAttributes{Path: "/metrics", Verb: "get"},
	}
	if diff := cmp.Diff(want, answers.asked.Spec); diff != "" {
		t.Errorf("what was asked of the one who may (-want +got):\n%s", diff)
	}
}
