package journal

import (
	"fmt"
	"io"
)

// Lang is the language of a printed report.
type Lang int

// The languages.
const (
	Vietnamese Lang = iota
	English
)

// phrases are the texts of a report, Vietnamese and English.
var phrases = struct {
	sound, unsigned, cut, rewritten, noHeads, torn, headLine, headAside, good, bad [2]string
	faults                                                                         map[FaultKind][2]string
	heads                                                                          map[HeadFaultKind][2]string
}{
	sound: [2]string{"Phiên họp %q: nguyên vẹn, %d mục", "Meeting %q: whole, %d entries"},
	unsigned: [2]string{
		", trong đó %d mục cuối chưa có chữ ký (máy chủ dừng giữa chừng hoặc tiến trình khác ghi)",
		", the last %d not signed here (a crash, or another process wrote them)",
	},
	cut:       [2]string{" (chữ ký đã có đến mục %d)", " (signed up to entry %d)"},
	rewritten: [2]string{" (chữ ký của mục %d không khớp)", " (the signature of entry %d does not fit)"},
	noHeads: [2]string{
		"Không có tệp chữ ký: không thể phát hiện việc cắt đuôi hoặc viết lại toàn bộ.",
		"No signed heads: a cut-off tail or a wholly rewritten chain cannot be found.",
	},
	torn: [2]string{
		"Dòng cuối của tệp chữ ký bị dở dang, như sau khi mất điện.",
		"The heads file ends in the middle of a line, as after a power failure.",
	},
	headLine:  [2]string{"Tệp chữ ký, dòng %d: %s", "Heads file, line %d: %s"},
	headAside: [2]string{"Tệp chữ ký %s: %s", "Heads file %s: %s"},
	good:      [2]string{"Kết luận: %d phiên họp, nhật ký nguyên vẹn.", "Result: %d meetings, the journal is whole."},
	bad:       [2]string{"Kết luận: NHẬT KÝ CÓ SAI LỆCH ở %d trên %d phiên họp.", "Result: THE JOURNAL IS DAMAGED in %d of %d meetings."},
	faults: map[FaultKind][2]string{
		Changed:   {"mục %d đã bị sửa", "entry %d was changed"},
		Missing:   {"thiếu mục %d", "entry %d is missing"},
		Inserted:  {"mục %d đã bị chèn thêm", "entry %d was inserted"},
		CutOff:    {"bị cắt mất từ mục %d trở đi", "cut off from entry %d on"},
		Rewritten: {"đã bị viết lại từ mục %d", "rewritten from entry %d on"},
	},
	heads: map[HeadFaultKind][2]string{
		HeadDamaged: {"bị hỏng hoặc chữ ký không đúng", "damaged, or the signature is wrong"},
		HeadMissing: {"thiếu dòng ở phía trước", "lines before it are missing"},
		HeadOlder:   {"số mục lùi so với dòng trước", "goes back behind an earlier line"},
		HeadAside:   {"tệp hỏng đã được cất riêng", "a damaged file that was put aside"},
	},
}

// Print writes the report for people, a line for each meeting and each fault, and
// a last line with the result.
func (r *Report) Print(w io.Writer, lang Lang) error {
	out := &printer{w: w}
	broken := 0
	for _, m := range r.Meetings {
		if m.Fault == nil {
			out.print(phrases.sound[lang], m.Meeting, m.Entries)
			if m.Unsigned > 0 && !r.NoHeads {
				out.print(phrases.unsigned[lang], m.Unsigned)
			}
			out.print(".\n")
			continue
		}
		broken++
		out.print([2]string{"Phiên họp %q: ", "Meeting %q: "}[lang], m.Meeting)
		out.print(phrases.faults[m.Fault.Kind][lang], m.Fault.Seq)
		switch m.Fault.Kind {
		case CutOff:
			out.print(phrases.cut[lang], m.Fault.Signed)
		case Rewritten:
			out.print(phrases.rewritten[lang], m.Fault.Signed)
		}
		out.print(".\n")
	}
	for _, f := range r.Heads {
		if f.Kind == HeadAside {
			out.print(phrases.headAside[lang]+".\n", f.File, phrases.heads[f.Kind][lang])
		} else {
			out.print(phrases.headLine[lang]+".\n", f.Line, phrases.heads[f.Kind][lang])
		}
	}
	if r.NoHeads {
		out.print("%s\n", phrases.noHeads[lang])
	}
	if r.Torn {
		out.print("%s\n", phrases.torn[lang])
	}
	if r.OK() {
		out.print(phrases.good[lang]+"\n", len(r.Meetings))
	} else {
		out.print(phrases.bad[lang]+"\n", broken, len(r.Meetings))
	}
	return out.err
}

// printer remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) print(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
