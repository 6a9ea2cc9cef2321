package uptrack

// loudDBov is the audio level, in -dBov (RFC 6464), up to which a packet counts
// as speech.
const loudDBov = 40

const quietDBov = 127

// Loudness is what a stretch of audio packets said about its loudness.
type Loudness struct {
	Packets int
	Loud    int   // packets at or above the speech threshold
	DBov    uint8 // mean level of the loud packets, in -dBov; 127 if there were none
}

type levelWindow struct {
	packets, loud, sum int
}

func (w *levelWindow) add(level uint8) {
	w.packets++
	if level <= loudDBov {
		w.loud++
		w.sum += int(level)
	}
}

func (w *levelWindow) take() Loudness {
	l := Loudness{Packets: w.packets, Loud: w.loud, DBov: 127}
	if w.loud > 0 {
		l.DBov = uint8(w.sum / w.loud)
	}
	*w = levelWindow{}
	return l
}
