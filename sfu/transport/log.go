package transport

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

func itoa(pt webrtc.PayloadType) string { return strconv.Itoa(int(pt)) }

// logFactory passes what the WebRTC stack says to our log: its warnings and
// errors as debug, for they mostly tell of peers that went away.
type logFactory struct {
	log    *slog.Logger
	scopes *sync.Map // loggers by scope: every part of every peer asks for one
}

func newLogFactory(log *slog.Logger) logFactory { return logFactory{log, &sync.Map{}} }

// NewLogger implements logging.LoggerFactory.
func (f logFactory) NewLogger(scope string) logging.LeveledLogger {
	l, known := f.scopes.Load(scope)
	if !known {
		l, _ = f.scopes.LoadOrStore(scope, &leveled{f.log.With("scope", "pion/"+scope)})
	}
	logger, _ := l.(*leveled)
	return logger
}

type leveled struct{ log *slog.Logger }

func (l *leveled) debugf(format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l *leveled) Trace(string)              {}
func (l *leveled) Tracef(string, ...any)     {}
func (l *leveled) Debug(string)              {}
func (l *leveled) Debugf(string, ...any)     {}
func (l *leveled) Info(string)               {}
func (l *leveled) Infof(string, ...any)      {}
func (l *leveled) Warn(msg string)           { l.debugf("%s", []any{msg}) }
func (l *leveled) Warnf(f string, a ...any)  { l.debugf(f, a) }
func (l *leveled) Error(msg string)          { l.debugf("%s", []any{msg}) }
func (l *leveled) Errorf(f string, a ...any) { l.debugf(f, a) }
