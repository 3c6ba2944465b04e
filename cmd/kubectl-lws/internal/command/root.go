// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package command has the verbs of kubectl lws, one in a file. A verb reads flags, lets others read the API server,
// decide and write the screen, and returns an error for the exit code.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/moby/term"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	utilexec "k8s.io/client-go/util/exec"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/cluster"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/screen"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/view"
)

// plugin is what all verbs share.
type plugin struct {
	genericiooptions.IOStreams

	flags   *genericclioptions.ConfigFlags
	version string
	now     func() time.Time
}

// errFailed ends a command with exit code 1. Its output says why.
var errFailed = errors.New("failed")

// Run runs the plugin with arguments and returns its exit code. Errors are written in kubectl's words.
func Run(ctx context.Context, version string, streams genericiooptions.IOStreams, args []string) int {
	p := &plugin{
		IOStreams: streams, flags: genericclioptions.NewConfigFlags(true), version: version, now: time.Now,
	}
	root := p.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var exit utilexec.CodeExitError
	switch {
	case err == nil, errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return 0
	case errors.Is(err, errFailed):
		return 1
	case errors.As(err, &exit):
		return exit.Code
	}
	message, known := cmdutil.StandardErrorMessage(err)
	if !known {
		message = err.Error()
		if !strings.HasPrefix(message, "error: ") {
			message = "error: " + message
		}
	}
	_, _ = fmt.Fprintln(streams.ErrOut, message)
	return 1
}

// root returns the command with all verbs.
func (p *plugin) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "lws",
		Short:         "Show LeaderWorkerSets, say why groups aren't ready, and steer rolling updates",
		Version:       p.version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl lws"},
	}
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.ErrOut)
	root.CompletionOptions.HiddenDefaultCmd = true
	p.flags.AddFlags(root.PersistentFlags())
	p.completeNamespaces(root)
	root.AddCommand(
		p.list(), p.status(), p.groups(), p.why(), p.tree(), p.rollout(), p.restart(), p.logs(), p.exec(),
		p.drainCheck(), p.check(), p.report(),
	)
	return root
}

// connect returns the API server, and the namespace of the command.
func (p *plugin) connect() (*cluster.Cluster, string, error) {
	namespace, _, err := p.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, "", err
	}
	config, err := p.flags.ToRESTConfig()
	if err != nil {
		return nil, "", err
	}
	server, err := cluster.New(config)
	return server, namespace, err
}

// read reads a set and its objects.
func (p *plugin) read(cmd *cobra.Command, name string) (*cluster.Cluster, *view.Set, error) {
	server, namespace, err := p.connect()
	if err != nil {
		return nil, nil, err
	}
	objects, err := server.Objects(cmd.Context(), namespace, name)
	if err != nil {
		return nil, nil, err
	}
	return server, view.New(objects, p.now()), nil
}

// style returns how a screen may look: with color on a terminal whose user has not declined it, see no-color.org.
func (p *plugin) style() screen.Style {
	return screen.Style{Color: p.isTerminal() && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (p *plugin) isTerminal() bool {
	file, ok := p.Out.(*os.File)
	return ok && term.IsTerminal(file.Fd())
}

// trimKind returns the name in an argument: kubectl's users also write lws/llama.
func trimKind(argument string) string {
	kind, name, found := strings.Cut(argument, "/")
	if found && strings.HasPrefix(kind, "lws") || strings.HasPrefix(kind, "leaderworkerset") && found {
		return name
	}
	return argument
}

// setArgs accepts the name of a set, and further arguments.
func setArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || (most >= 0 && len(args) > most) {
			return cmdutil.UsageErrorf(cmd, "expected %s", strings.TrimPrefix(cmd.Use, cmd.Name()+" "))
		}
		if len(args) > 0 {
			args[0] = trimKind(args[0])
		}
		return nil
	}
}
