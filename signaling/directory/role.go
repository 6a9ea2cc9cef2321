package directory

import "strings"

// Role is what a user is in a unit and everything below it.
type Role string

// The roles. A point's own device has no role: it obeys.
const (
	Administrator Role = "administrator" // keeps directory and system; sees no meeting
	Secretary     Role = "secretary"     // prepares and accompanies meetings
	Chair         Role = "chair"         // approves and runs them
	Operator      Role = "operator"      // picture, sound, devices, recordings
	Delegate      Role = "delegate"      // takes part and votes
	Guest         Role = "guest"         // takes part without a vote
	Observer      Role = "observer"      // watches, unseen and mute
)

// Roles lists the roles in the order of display.
func Roles() []Role {
	return []Role{Administrator, Secretary, Chair, Operator, Delegate, Guest, Observer}
}

var roleNames = map[Role]message{
	Administrator: {"Quản trị viên", "Administrator"},
	Secretary:     {"Thư ký", "Secretary"},
	Chair:         {"Chủ tọa", "Chair"},
	Operator:      {"Kỹ thuật", "Operator"},
	Delegate:      {"Đại biểu", "Delegate"},
	Guest:         {"Khách mời", "Guest"},
	Observer:      {"Dự thính", "Observer"},
}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool {
	_, ok := roleNames[r]
	return ok
}

// Label names r for people: in Vietnamese for "vi...", else in English.
func (r Role) Label(lang string) string {
	n, ok := roleNames[r]
	switch {
	case !ok:
		return string(r)
	case strings.HasPrefix(lang, "vi"):
		return n.vi
	default:
		return n.en
	}
}

func allRoleLabels() string {
	labels := make([]string, 0, len(roleNames))
	for _, r := range Roles() {
		labels = append(labels, r.Label("vi"))
	}
	return strings.Join(labels, ", ")
}

// What everybody who takes part in a meeting may do.
var participant = []Permission{
	DirectoryRead, MeetingRead, MeetingJoin, InvitationReply, AttendanceSelf,
	DocumentRead, ChatWrite, NoteKeep, MediaPublish, RecordingRead,
}

var presets = map[Role]map[Permission]bool{
	// Duties are apart: who keeps the accounts takes no part in meetings, and
	// who takes part keeps no accounts.
	Administrator: set(
		DirectoryRead, DirectoryManage, RoleAssign, PermissionAdjust, CatalogManage, DeviceEnrol,
		AuditRead, SigninRead, HelpEdit, SystemOperate, IntegrationManage,
	),
	Secretary: set(
		CatalogManage, MeetingPrepare, MeetingCancel, InvitationManage, GuestInvite, SeatManage, NotifySend,
		DocumentPrepare, DocumentReceipt, LibraryRead, LibraryManage, OpinionPrepare, OpinionResult,
		ConclusionWrite, MinutesEdit, MinutesIssue, StatisticsRead,
		AttendanceConfirm, AttendanceRead, GuestAdmit, SpeakRun, QuestionRun, VotePrepare, VoteRun, VotePaper,
		ChatModerate, ScreenShare, ReadinessRead,
	).with(participant),
	Chair: set(
		MeetingApprove, MeetingCancel, MeetingRun, DelegationMake, DelegationDecide, NotifySend,
		DocumentApprove, DocumentReceipt, LibraryRead, OpinionApprove, OpinionAnswer, OpinionResult,
		ConclusionWrite, MinutesEdit, MinutesSign, StatisticsRead,
		AttendanceRead, AttendanceConfirm, GuestAdmit, SpeakRequest, SpeakRun, QuestionRequest, QuestionRun,
		VoteRun, VoteCast, ChatModerate, ScreenShare, ReadinessRead,
	).with(participant),
	Operator: set(
		DirectoryRead, DeviceEnrol, MeetingRead, MeetingJoin, ChatWrite, NoteKeep, MediaPublish, ScreenShare,
		AttendanceRead, GuestAdmit, LayoutControl, DeviceControl, ReadinessRead, HelpdeskAnswer,
		RecordingControl, RecordingRead,
	),
	Delegate: set(
		DelegationMake, LibraryRead, OpinionAnswer, SpeakRequest, QuestionRequest, VoteCast, ScreenShare,
	).with(participant),
	Guest: set(
		MeetingRead, MeetingJoin, InvitationReply, AttendanceSelf, DocumentRead, SpeakRequest, ChatWrite,
		NoteKeep, MediaPublish,
	),
	Observer: set(MeetingObserve),
}

type permissionSet map[Permission]bool

func set(list ...Permission) permissionSet {
	return permissionSet{}.with(list)
}

func (s permissionSet) with(list []Permission) permissionSet {
	for _, p := range list {
		s[p] = true
	}
	return s
}

// Presets lists what r may do where no override says otherwise.
func (r Role) Presets() []Permission {
	list := make([]Permission, 0, len(presets[r]))
	for p := range presets[r] {
		list = append(list, p)
	}
	sortPermissions(list)
	return list
}

// keptAtRoot reports whether no override may take p from r at the root unit:
// otherwise one entry could lock everybody out for good.
func keptAtRoot(r Role, p Permission) bool {
	return r == Administrator && (p == DirectoryManage || p == RoleAssign || p == PermissionAdjust)
}
