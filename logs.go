// logs: what the collector has logged. systemd keeps it in the journal, launchd in two files.
package main

import "context"

func (a *app) logs(ctx context.Context, o options) error {
	if err := a.mayManage(); err != nil {
		return err
	}
	ctx, cancel := a.untilSignal(ctx)
	defer cancel()
	return a.manager.showLog(ctx, a, o)
}
