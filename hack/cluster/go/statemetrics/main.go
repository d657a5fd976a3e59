// kube-state-metrics, for tests: its own program without watching its configuration, which is in a package
// that only it may import. Built with the control plane's Kubernetes libraries, which are compiled already.
package main

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"k8s.io/kube-state-metrics/v2/pkg/app"
	"k8s.io/kube-state-metrics/v2/pkg/options"
)

func main() {
	opts := options.NewOptions()
	command := options.InitCommand
	command.Run = func(_ *cobra.Command, _ []string) {
		fail(app.RunKubeStateMetrics(context.Background(), opts))
	}
	opts.AddFlags(command)
	fail(opts.Parse())
	fail(opts.Validate())
}

func fail(err error) {
	if err != nil {
		klog.ErrorS(err, "kube-state-metrics ended")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
}
