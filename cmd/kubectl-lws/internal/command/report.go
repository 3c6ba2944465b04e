// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/bundle"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/cluster"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/preflight"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

func (p *plugin) report() *cobra.Command {
	var file string
	var redact bool
	cmd := &cobra.Command{
		Use:   "report [NAME] -o FILE.zip",
		Short: "Collect what belongs to an issue in an archive",
		Long: "Collect what belongs to an issue in an archive: the set, its children, pods, events and revisions, the " +
			"results of check, and the operator's log and configuration. What you may not read is left out, and named.",
		Args:              setArgs(0, 1),
		ValidArgsFunction: p.completeSet,
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "The archive to write.")
	cmd.Flags().BoolVar(&redact, "redact", false,
		"Replace the values of environment variables, commands, arguments and annotations.")
	_ = cmd.MarkFlagRequired("output") // It fails for flags that don't exist only.
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, namespace, err := p.connect()
		if err != nil {
			return err
		}
		collected := &bundle.Bundle{Redact: redact}
		for _, name := range args {
			if err := p.reportSet(cmd.Context(), server, collected, namespace, name); err != nil {
				return err
			}
		}
		if err := p.reportOperator(cmd.Context(), server, collected, namespace); err != nil {
			return err
		}
		var archive bytes.Buffer
		if err := collected.Write(&archive, p.now()); err != nil {
			return err
		}
		if err := os.WriteFile(file, archive.Bytes(), 0o600); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.Out, "%s written: look through it before you publish it\n", file)
		return err
	}
	return cmd
}

func (p *plugin) reportSet(
	ctx context.Context, server *cluster.Cluster, to *bundle.Bundle, namespace, name string,
) error {
	objects, err := server.Objects(ctx, namespace, name)
	if err != nil {
		return err
	}
	err = errors.Join(
		bundle.AddObjects(to, "set", []*leaderworkersetv1.LeaderWorkerSet{objects.LWS}),
		bundle.AddObjects(to, "statefulsets", objects.StatefulSets),
		bundle.AddObjects(to, "pods", objects.Pods),
		bundle.AddObjects(to, "services", objects.Services),
		bundle.AddObjects(to, "controllerrevisions", objects.Revisions),
		bundle.AddObjects(to, "poddisruptionbudgets", objects.Budgets),
		bundle.AddObjects(to, "events", objects.Events),
	)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	set := view.New(objects, p.now())
	if err := errors.Join(screen.Status(&text, set, screen.Style{}), screen.Tree(&text, set, screen.Style{})); err != nil {
		return err
	}
	to.AddText("status.txt", text.String())
	return nil
}

// reportOperator adds what is known of the operator: a log of each of its pods, and its configuration.
func (p *plugin) reportOperator(
	ctx context.Context, server *cluster.Cluster, to *bundle.Bundle, namespace string,
) error {
	facts, err := server.Facts(ctx, namespace, p.now())
	if err != nil {
		return err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "kubectl-lws %s\n\n", p.version)
	if err := screen.Check(&text, preflight.Run(facts, true), screen.Style{}); err != nil {
		return err
	}
	to.AddText("check.txt", text.String())
	operator, err := server.Operator(ctx)
	if err != nil {
		to.AddText("operator.txt", "the operator can't be read: "+err.Error()+"\n")
		return nil //nolint:nilerr // The archive says so.
	}
	for i := range operator.Pods {
		pod := &operator.Pods[i]
		log, err := server.Log(ctx, pod.Namespace, pod.Name, &corev1.PodLogOptions{TailLines: ptr.To[int64](20_000)})
		if err != nil {
			log = "the log can't be read: " + err.Error() + "\n"
		}
		to.AddText("operator/"+pod.Name+".log", log)
	}
	return errors.Join(
		bundle.AddObjects(to, "operator/deployments", pointers(facts.Operators)),
		bundle.AddObjects(to, "operator/pods", pointers(operator.Pods)),
		bundle.AddObjects(to, "operator/configmaps", pointers(operator.Config)),
	)
}

func pointers[T any](items []T) []*T {
	result := make([]*T, len(items))
	for i := range items {
		result[i] = &items[i]
	}
	return result
}
