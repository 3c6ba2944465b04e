// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command scorecard runs named tests of the operator's package, one after the other. They check the bundle, and the
// operator in a cluster.
//
//	scorecard -bundle bundle webhooks permissions
//	scorecard -bundle bundle -kubeconfig ~/.kube/config -namespace default rolls
//
// `operator-sdk scorecard` runs the same program in pods. The program prints a TestStatus of
// scorecard.operatorframework.io/v1alpha3 and nothing else. It exits with 1 if a test fails.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/operator-framework/api/pkg/apis/scorecard/v1alpha3"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// test is a named test.
type test struct {
	// name is the name of the test on the command line and in config/scorecard.
	name string

	// run returns all failures, joined into one error.
	run func(context.Context, *subject) error
}

// tests returns all tests.
func tests() []test {
	return []test{
		{"install-modes", static(checkInstallModes)},
		{"webhooks", static(checkWebhooks)},
		{"permissions", static(checkPermissions)},
		{"deployment", static(checkDeployment)},
		{"images", static(checkImages)},
		{"examples", static(checkExamples)},
		{"examples-admitted", examplesAdmitted},
		{"becomes-available", functional(becomesAvailable)},
		{"rolls", functional(rolls)},
		{"restarts-group", functional(restartsGroup)},
		{"scales", functional(scales)},
		{"rolls-roles", rollsRoles},
	}
}

// subject is the bundle and the cluster that the tests check.
type subject struct {
	bundle     string // directory of the bundle
	kubeconfig string // file; if empty, the environment or the pod has the configuration
	namespace  string // namespace in which tests create objects
}

func main() {
	// The log of a pod must have nothing but the TestStatus, so the libraries don't log.
	log.SetLogger(logr.Discard())
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	passed, err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "scorecard: %v\n", err)
		os.Exit(2)
	}
	if !passed {
		os.Exit(1)
	}
}

// run runs the tests that the arguments name, and reports whether all of them passed.
func run(ctx context.Context, arguments []string, output io.Writer) (passed bool, err error) {
	flags := flag.NewFlagSet("scorecard", flag.ContinueOnError)
	tested := subject{}
	flags.StringVar(&tested.bundle, "bundle", "/bundle", "directory of the bundle")
	flags.StringVar(&tested.kubeconfig, "kubeconfig", "",
		"kubeconfig of the cluster; if empty, the one of the environment or the pod")
	flags.StringVar(&tested.namespace, "namespace", os.Getenv("SCORECARD_NAMESPACE"),
		"namespace in which tests create objects")
	timeout := flags.Duration("timeout", 5*time.Minute, "how long each test may take")
	if err := flags.Parse(arguments); err != nil {
		return false, err
	}
	chosen, err := named(flags.Args())
	if err != nil {
		return false, err
	}
	status := v1alpha3.TestStatus{}
	passed = true
	for _, one := range chosen {
		result := one.result(ctx, &tested, *timeout)
		passed = passed && result.State == v1alpha3.PassState
		status.Results = append(status.Results, result)
	}
	encoder := json.NewEncoder(output)
	encoder.SetIndent("", "  ")
	return passed, encoder.Encode(status)
}

// named returns the tests with these names.
func named(names []string) (found []test, err error) {
	byName := map[string]test{}
	var all []string
	for _, one := range tests() {
		byName[one.name] = one
		all = append(all, one.name)
	}
	for _, name := range names {
		one, exists := byName[name]
		if !exists {
			return nil, fmt.Errorf("no test %q: want some of %s", name, strings.Join(all, ", "))
		}
		found = append(found, one)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no test named: want some of %s", strings.Join(all, ", "))
	}
	return found, nil
}

// result runs the test and returns its result.
func (t test) result(ctx context.Context, tested *subject, timeout time.Duration) v1alpha3.TestResult {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result := v1alpha3.TestResult{Name: t.name, State: v1alpha3.PassState}
	for _, err := range split(t.run(ctx, tested)) {
		result.State = v1alpha3.FailState
		result.Errors = append(result.Errors, err.Error())
	}
	return result
}

// split returns the errors that errors.Join has joined.
func split(err error) []error {
	if joined, several := err.(interface{ Unwrap() []error }); several {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
