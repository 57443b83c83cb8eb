// The fake of launchctl: a state machine of domains, loaded jobs and the disabled store.
package main

import "io"

func (m fakeMachine) launchctl(s *fakeState, args []string, stdout, stderr io.Writer) int { return 64 }

// fakePlistEnvironment reads the environment of the loaded job on its own, not by the code under test.
func fakePlistEnvironment(s fakeState) []string { return nil }
