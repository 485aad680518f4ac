"""English words for the digits, colours and motions of this world, and for what it does not have.

A string holds words or phrases, with a space between them and `_` between the words of a phrase. `english.py`
reads them, and adds phrases such as "to the left edge" and "gets really tiny".
"""

DIGIT_WORDS = {
    "zero": "zero zeros zeroes nought noughts naught 0 0s null nil",
    "one": "one ones 1 1s",
    "two": "two twos 2 2s",
    "three": "three threes 3 3s",
    "four": "four fours 4 4s",
    "five": "five fives 5 5s",
    "six": "six sixes sixs 6 6s",
    "seven": "seven sevens 7 7s",
    "eight": "eight eights 8 8s",
    "nine": "nine nines 9 9s",
}
COLOUR_WORDS = {
    "red": """
        red crimson scarlet ruby cherry vermilion reddish tomato blood_red blood rose_red strawberry fire_engine
        ketchup
    """,
    "green": """
        green emerald lime greenish grass jade forest_green mint leaf lime_green olive moss pea_green shamrock grassy
    """,
    "blue": """
        blue blu navy azure sapphire cobalt bluish royal_blue navy_blue sky_blue ultramarine ocean indigo denim sky
        bluey
    """,
    "yellow": """
        yellow golden gold lemon amber yellowish canary banana mustard sunflower lemony sunny_yellow daffodil
    """,
    "magenta": "magenta pink fuchsia hot_pink pinkish rose bubblegum flamingo fuschia",
    "cyan": "cyan turquoise aqua aquamarine teal turqoise turquois aqua_blue",
    "orange": "orange tangerine orangey pumpkin carrot apricot orangish mandarin",
    "white": "white ivory snowy snow_white snow pearl whitish off_white milk chalk",
}
MOTION_WORDS = {
    "left": "left leftward leftwards west westward westwards westbound",
    "right": "right rightward rightwards east eastward eastwards eastbound",
    "up": """
        up upp upward upwards northbound hoist hoisted elevate elevates elevating gaining_height gains_height north
        northward northwards rising rises rise climbing climbs climb ascending ascends ascend lifting_off lifts_off
        soaring soars soar skyward skywards heavenward to_the_ceiling towards_the_ceiling toward_the_ceiling to_the_sky
        into_the_sky levitating levitates levitate taking_off takes_off rise_up toward_the_sky towards_the_sky
        to_the_upper_edge lifting lifts higher rose_up rose_to rose_from rose_slowly from_below from_down_below
        from_the_floor from_the_ground
    """,
    "down": """
        down downward downwards southbound south southward southwards falling falls fall dropping drops drop sinking
        sinks sink descending descends descend plunging plunges plummeting plummets to_the_floor towards_the_floor
        toward_the_floor to_the_ground towards_the_ground toward_the_ground tumbling tumbles plummet lower lowering
        lowers from_above from_up_above from_the_sky from_the_ceiling
    """,
    "growing": """
        growing grows grow magnify magnifies magnifying doubles_in_size doubling_in_size double_in_size taller wider
        expanding expands expand enlarging enlarges enlarge swelling swells swell bigger larger inflating inflates
        inflate zooming_in zooms_in zoom_in zoom_into zooming_into blowing_up blows_up scaling_up scales_up scale_up
        ballooning growing_up grows_up puffing_up puffs_up increasing_in_size increases_in_size increase_in_size
        gaining_size gains_size coming_closer comes_closer approaching approaches size_up upscaling increasing_size
        widening widens growth blow_up coming_towards coming_toward comes_towards comes_toward closer nearer
    """,
    "shrinking": """
        shrinking shrinks shrink half_its_size halves_in_size contracting contracts contract smaller tinier reducing
        reduces dwindling dwindles diminishing diminishes diminish zooming_out zooms_out zoom_out scaling_down
        scales_down scale_down deflating deflates deflate minimising minimizing decreasing_in_size decreases_in_size
        decrease_in_size losing_size loses_size compressing compresses collapsing collapses shrinkage shrunk
        shrinking_down shrinks_down shrink_down moving_away moves_away going_away receding recedes recede further_away
        farther_away dwindle
    """,
}
# things that are a colour only beside the word "colour": "coloured like a lemon"
NOUNS = """
    cherry tomato blood strawberry ketchup grass jade mint leaf moss grassy ocean denim sky lemon canary banana mustard
    sunflower daffodil bubblegum flamingo pumpkin carrot apricot mandarin snow pearl milk chalk
"""
# "gets tiny": a verb and a size
BECOMES = """
    gets getting get become becomes becoming turns turning going goes go grow grows growing ends end_up ends_up
"""
LARGE = "big huge large giant enormous gigantic massive"
SMALL = "small tiny little minuscule"
# what this world does not have; for colours with the nearest that it has
NO_DIGITS = """
    ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty
    seventy eighty ninety hundred thousand million dozen
"""
NO_COLOURS = {
    "magenta blue": "purple violet lilac lavender mauve plum purplish amethyst aubergine",
    "orange red": "brown chocolate bronze copper tan coffee brownish rust maroon burgundy khaki",
    "white": """
        black grey gray silver beige cream charcoal greyish grayish colourless transparent invisible ebony
    """,
    "red yellow": "rainbow multicoloured multicolour peach salmon coral coloured_stripes tie_dye",
}
NO_MOTIONS = """
    spinning spins spin rotating rotates rotate rotation turning_around bouncing bounces bounce jumping jumps jump
    diagonal diagonally zigzag zigzagging zig_zag zigzags zig_zagging wobbling wobbles wobble shaking shakes shake
    dancing dances dance flipping flips flip circling circles in_a_circle in_circles swinging swings swing vibrating
    vibrates vibrate blinking blinks blink flashing flashes flash exploding explodes explode pulsing pulses pulsating
    pulsates spiralling spirals spiraling spiral twirling twirls twirl somersaulting backflip cartwheel cartwheels
    northwest northeast southwest southeast north_west north_east south_west south_east fading fades fade melting melts
    melt waving waves orbiting orbits loops looping loop_de_loop hopping hops hop swaying sways sway back_and_forth
    side_to_side up_and_down left_and_right staying_still stays_still standing_still motionless stationary morphing
    morphs teleporting teleports swirling swirls swirl whirling whirls whirl upside_down curling tilting tilts tilt
    wiggling wiggles wiggle
"""
# phrases in which a word of the tables says something else
OTHER = """
    time_left up_to_now give_up gave_up giving_up cloud_nine high_five left_over left_overs leftover leftovers is_left
    what_is_left whats_left left_behind left_handed left_hand left_alone nothing_left right_now right_away right_here
    all_right alright right_digit right_number right_one right_handed thats_right right_after right_before
    the_right_way right_kind just_right right_size right_place right_answer up_to_you up_to_date up_close grew_up
    make_up hurry_up show_up come_up_with comes_up_with whip_up cook_up mock_up close_up set_up pick_up look_up
    whats_up wake_up cheer_up warm_up speed_up draw_up pull_up dress_up thumbs_up coming_up up_for write_down
    write_it_down slow_down calm_down sit_down settle_down note_down down_to_earth put_down number_one_fan
    number_one_choice number_one_rule number_one_priority no_1 one_more one_picture one_image one_video one_clip one_of
    one_sound one_day one_photo one_last one_single one_time this_one that_one which_one another_one the_other_one
    one_thing one_second one_minute one_small one_quick two_things two_words two_seconds three_words three_things
    one_word one_frame one_drawing one_render one_simple one_question one_request two_requests for_one any_one no_one
    at_one in_one one_at_a_time one_by_one one_such just_one only_one top_left top_right bottom_left bottom_right
    upper_left upper_right lower_left lower_right left_corner right_corner left_side right_side left_half right_half
    on_the_left on_the_right at_the_left at_the_right in_the_left in_the_right left_edge_of right_edge_of on_top
    high_up far_left far_right blue_mood feeling_blue feel_blue black_background black_canvas red_carpet red_wine
    on_black on_a_black green_tea green_light red_cross once_in_a_blue_moon blue_moon out_of_the_blue orange_juice
    on_a_dark high_res flash_cards flash_card right_colour dont_forget why_not non_stop no_less_than none_other_than
    doesnt_stop cant_stop dont_stop never_stops never_stop cant_wait nothing_but not_only not_just drop_me drop_shadow
    closer_look higher_quality larger_font bigger_font be_swell one_digit one_number
"""
# a number before one of these is no digit
UNITS = """
    am dpi fps frame frames hz k khz mins minute minutes p percent pixels pm px s sec second seconds secs times x year
    years yr yrs d st nd rd th images pictures videos clips digits numbers photos drawings sounds recordings copies
    versions things kids
"""
# a colour before one of these is that of something else
SCENERY = "background backdrop border outline sky paper canvas page wall screen frame grass shadow"
# words after which the next value is not wanted, and words that may stand between
DENY = """
    mustnt hate cancel less wasnt werent not no never without isnt arent dont doesnt neither nor except avoid ban
    cannot cant wont shouldnt lose skip forget stop quit than_in than away_from no_longer under_no_circumstances
    replace instead_of rather_than and_not but_not other_than anything_but in_place_of any_colour_but everything_but
    all_but
"""
BETWEEN = """
    a all an any be become becoming by color colored digit direction do draw drift drifting ever get getting give go
    goes going has have in is it its just keep let lets made make making me meant move moves moving my need number of
    one only paint please same show slide slides sliding start supposed that the this to toward towards turn use using
    want wanting way with
"""
# words that are recognised when they are misspelt by one letter, and words of English that are no misspellings of them
SPELT = """
    zero three four five seven eight nine green blue yellow magenta cyan orange white left right down upwards downwards
    growing grows shrinking shrinks bigger smaller larger expanding moves moving slides sliding digit number purple
    brown black spinning rotating bouncing scarlet crimson golden turquoise falling rising
"""
NOT_MISSPELT = """
    blacks blank block blown blued bluer blues blur bounding brawn brow browne browns brows bugger chan clan crimsons
    dawn digits donn downs downy dows drown eighth expending failing felling fife file filling fine fiver flour foul
    fulling glowing glows goldens greed greek greene greens greer greet grogs groks groping gross growl growling growls
    grown lager larder large larges lefts lefty lent lept lest lift loft magentas modes moes moles mooing mopes moping
    mores moses motes moved mover movers movies mowing nice nike nile nina nite numbed numbers oranges purpler purples
    raising ricing riding rights riling riming rinsing risking rotting scarlets seen semen sever severn shinning
    shrieking shrieks shrines sides siding sinning skinning slices slicing slider sliders slimes spanning starlet
    steven sven thee there threw throe tree turquoises tyree waite while whine whit whiten whiter whites whits yellows
    zeno
"""
# words that change nothing, beyond those that any text has
FILLERS = """
    like love create generate render produce animate display picture image photo video clip animation sound voice audio
    numeral figure hi hello hey thanks thank say says saying said hear read write written handwritten look looks
    looking id im ive thats drifts head heads heading float floats floating travel travels travelling traveling fly
    flies flying bit slowly quickly really shape sure ok okay ill youre wouldnt kind gets keeps starts starting frame
    screen try motion movement colors
"""
# emojis and arrows
SIGNS = {
    "red": "🔴❤🟥",
    "green": "🟢💚🟩",
    "blue": "🔵💙🟦",
    "yellow": "🟡💛🟨",
    "orange": "🟠🧡🟧",
    "white": "⚪🤍⬜",
    "purple": "🟣💜🟪",
    "brown": "🟤🤎🟫",
    "black": "⚫🖤⬛",
    "up": "⬆👆🔼↑",
    "down": "⬇👇🔽↓",
    "left": "⬅👈←",
    "right": "➡👉→",
}
